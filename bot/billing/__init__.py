"""What messages cost: price cards, the meter, the firms' budgets, the bill."""
