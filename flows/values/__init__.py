"""Values that are parsed once and trusted after: RUT, phone, money, hours, ids."""
