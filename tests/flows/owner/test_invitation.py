"""An invitation that somebody asks for: that there is none is said, and a phone is asked for where none is known."""

from dataclasses import dataclass

from flows.dialog.advance import Book
from flows.dialog.flow import Flow, Step
from flows.dialog.transcript import play
from flows.owner.invitation import Answered, Invitee, invitation
from tests.flows.product import product_texts


@dataclass(frozen=True)
class Door:
    """Stands for the root of the platform's number."""


door = Flow("door", Door, Answered)


@door.runs(invitation, lambda d: Invitee(asked=True))
def invited(d: Door, how: Answered) -> Step:
    return door.end(how)


BOOK = Book((door,), product_texts())


def test_that_there_is_none_is_said_to_whoever_asks() -> None:
    play(
        """
> ver invitación
! FindInvitations {"phone":""} -> {}
< No encontré una invitación para este número. Pídela otra vez a quien te invitó.
= ended none
""",
        BOOK,
    )


def test_the_message_passed_on_to_somebody_else_finds_nothing() -> None:
    """Whoever passes it on, or gets it: the phone that writes is all that counts."""
    play(
        """
> (forwarded) Ver invitación
! FindInvitations {"phone":""} -> {}
< No encontré una invitación para este número. Pídela otra vez a quien te invitó.
""",
        BOOK,
    )


def test_who_writes_under_a_username_shares_their_phone_once() -> None:
    play(
        """
> ver invitación
! FindInvitations {"phone":""} -> {"phone_needed": true}
< (asks phone) Para encontrar tu invitación necesito tu número. Toca el botón para compartirlo.
> es el 9 6123 4567
< (asks phone) Así no me sirve: toca el botón y WhatsApp comparte tu número.
> (contacts) 56961234567
! FindInvitations {"phone":"56961234567"} -> {"waiting": [{"id": "i1", "firm": "Panadería Sol", "role": "agent"}]}
< En *Panadería Sol* te invitan a atender a sus clientes en SmarterOS. Si aceptas, guardo tu número para reconocerte. ¿Aceptas? [Sí, aceptar] [No, gracias] [Verla después]
> [Sí, aceptar]
! AnswerInvitation {"id":"i1","accept":true,"phone":"56961234567"} -> true
< Listo, ya eres parte del equipo de Panadería Sol.
= ended accepted
...
> ver invitación
! FindInvitations -> {"phone_needed": true}
< (asks phone) Para encontrar tu invitación necesito tu número. Toca el botón para compartirlo.
> (contacts) 56961234567
! FindInvitations {"phone":"56961234567"} -> {"phone_needed": true}
< No encontré una invitación para este número. Pídela otra vez a quien te invitó.
""".replace("\n>", "\nfirm: SmarterOS\n>", 1),
        BOOK,
    )


def test_that_the_system_does_not_answer_is_said_to_whoever_asks() -> None:
    play(
        """
> ver invitación
! FindInvitations -> failed down
< Ahora no puedo ver tu invitación: el sistema no me responde. Para verla después, escribe «invitación».
""",
        BOOK,
    )
