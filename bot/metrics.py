"""What operators count: one registry for each process, in Prometheus' text form."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SIGN_UP = (60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0)
SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Every number of the server. Labels hold closed vocabularies only, never ids of people."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhook_seconds = Histogram(
            "smarterbot_webhook_seconds",
            "Time from a webhook's last byte to our answer.",
            ["status"],
            buckets=FAST,
            registry=self.registry,
        )
        self.heard = Counter(
            "smarterbot_heard_total", "Things heard, by kind.", ["kind"], registry=self.registry
        )
        self.turns = Counter(
            "smarterbot_turns_total", "Turns by outcome.", ["outcome"], registry=self.registry
        )
        self.turn_seconds = Histogram(
            "smarterbot_turn_seconds",
            "Time from a lease to its commit.",
            buckets=FAST,
            registry=self.registry,
        )
        self.reply_seconds = Histogram(
            "smarterbot_reply_seconds",
            "Time from a message's arrival to the commit of its turn.",
            buckets=SLOW,
            registry=self.registry,
        )
        self.served = Counter(
            "smarterbot_served_total",
            "Items of action lanes by outcome.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.events = Counter(
            "smarterbot_events_total",
            "Everything else worth counting, by name and detail (a fault, a refusal, an unknown field).",
            ["name", "detail"],
            registry=self.registry,
        )
        self.journal_lag = Gauge(
            "smarterbot_journal_lines_waiting",
            "Journal lines not yet in PostgreSQL.",
            registry=self.registry,
        )
        self.lanes = Gauge(
            "smarterbot_lanes",
            "Lanes by kind and state.",
            ["kind", "state"],
            registry=self.registry,
        )
        self.lane_age_seconds = Gauge(
            "smarterbot_lane_oldest_due_seconds",
            "How long the oldest due lane of a kind has waited.",
            ["kind"],
            registry=self.registry,
        )
        self.budgets = Gauge(
            "smarterbot_budgets",
            "Firms with a monthly budget, by how much of it is left (fine, reserve, spent).",
            ["state"],
            registry=self.registry,
        )
        self.dead_letters = Gauge(
            "smarterbot_dead_letters", "Dead letters kept.", registry=self.registry
        )
        self.identity_lines_waiting = Gauge(
            "smarterbot_identity_lines_waiting",
            "Changes of people that are not yet on their way to the firms' systems, up to 500.",
            registry=self.registry,
        )
        self.alerts = Gauge(
            "smarterbot_alerts_open",
            "Alerts that wait for somebody, by kind.",
            ["kind"],
            registry=self.registry,
        )

        self.states = Counter(
            "smarterbot_flow_states_total",
            "Conversations that came to wait in a state of a flow (entered), or waited there no longer (left).",
            ["state", "way"],
            registry=self.registry,
        )
        self.ends = Counter(
            "smarterbot_flow_ends_total",
            "Flows that came to their end, by how.",
            ["end"],
            registry=self.registry,
        )

        self.signup_seconds = Histogram(
            "smarterbot_signup_seconds",
            "Time from the first message of a sign-up to the firm that it opened.",
            buckets=SIGN_UP,
            registry=self.registry,
        )

        # Looking a child up by its labels costs more than counting, so each is looked up once.
        self._heard: dict[str, Counter] = {}
        self._events: dict[tuple[str, str], Counter] = {}
        self._answers: dict[str, Histogram] = {}
        self._turns: dict[str, Counter] = {}
        self._served: dict[tuple[str, str], Counter] = {}
        self._states: dict[tuple[str, str], Counter] = {}

    def hear(self, kind: str) -> None:
        """Count one message or status by its kind."""
        child = self._heard.get(kind)
        if child is None:
            child = self._heard[kind] = self.heard.labels(kind)
        child.inc()

    def count(self, name: str, detail: str = "") -> None:
        """Count an event by name; `detail` comes from a closed vocabulary."""
        child = self._events.get((name, detail))
        if child is None:
            child = self._events[name, detail] = self.events.labels(name, detail)
        child.inc()

    def turn(self, outcome: str) -> None:
        """Count one turn."""
        child = self._turns.get(outcome)
        if child is None:
            child = self._turns[outcome] = self.turns.labels(outcome)
        child.inc()

    def moved(self, before: str, after: str) -> None:
        """A conversation waited in the state `before`, and waits in `after` now; empty: it waits for nothing."""
        for state, way in ((before, "left"), (after, "entered")):
            if state:
                child = self._states.get((state, way))
                if child is None:
                    child = self._states[state, way] = self.states.labels(state, way)
                child.inc()

    def serve(self, kind: str, outcome: str) -> None:
        """Count one item of an action lane."""
        child = self._served.get((kind, outcome))
        if child is None:
            child = self._served[kind, outcome] = self.served.labels(kind, outcome)
        child.inc()

    def answer(self, status: int, seconds: float) -> None:
        """One webhook was answered, so long after its headers had come."""
        child = self._answers.get(str(status))
        if child is None:
            child = self._answers[str(status)] = self.webhook_seconds.labels(str(status))
        child.observe(seconds)

    def show_alerts(self, open_now: Mapping[str, int]) -> None:
        """How many alerts of each kind are open; one that is settled is gone."""
        self.alerts.clear()
        for kind, number in open_now.items():
            self.alerts.labels(kind).set(number)

    def exposition(self) -> bytes:
        """The registry in Prometheus' text format."""
        return generate_latest(self.registry)
