"""Conversations with the sample flows, as a person would see them: title -> script."""

from typing import Final

CONSENT: Final = "< Guardaremos tu RUT y nombre (Ley 19.628). ¿Aceptas? [Sí, acepto] [No, gracias]"
MENU: Final = "¿Qué necesitas? [Mis pedidos] [Crear cuenta] [Hablar con alguien]"
SUMMARY: Final = (
    "RUT 76.543.210-3, Comida. ¿Está bien? [Confirmar] [Cambiar nombre] [Corregir el rubro]"
)

SIGN_UP: Final = {
    "a-firm-signs-up": f"""
        > hola
        {CONSENT}
        > [Sí, acepto]
        < ¿Cuál es el RUT de tu empresa?
        > 76.543.210-4
        < Ese RUT no calza. ¿Me lo escribes de nuevo?
        > 76.543.210-3
        ! FindTenant {{"rut": "765432103"}} -> null
        < Anoté el RUT 76.543.210-3. ¿Cómo se llama tu negocio?
        > Panadería Sol
        < ¿A qué rubro pertenece Panadería Sol? {{Elegir rubro}}
        - Comercio
        - Comida
        - Servicios
        - Otro
        > [Comida]
        < Panadería Sol, {SUMMARY}
        > [Cambiar nombre]
        < ¿Cómo se llama tu negocio?
        > Panadería Luna
        < Panadería Luna, {SUMMARY}
        > [Confirmar]
        ! Provision -> {{"id": "t9", "name": "Panadería Luna"}}
        < ¡Perfecto! Panadería Luna está lista.
        = ended registered
    """,
    "a-taken-rut-asks-to-join": f"""
        > hola
        {CONSENT}
        > sí, acepto
        < ¿Cuál es el RUT de tu empresa?
        @ 20h
        < ¿Seguimos con tu cuenta? ¿Cuál es el RUT de tu empresa?
        > 76543210-3
        ! FindTenant -> {{"id": "t1", "name": "Panadería Sol"}}
        < Ese RUT ya tiene una cuenta. ¿Pides unirte? [Pedir acceso] [Usar otro RUT]
        > volver
        < ¿Cuál es el RUT de tu empresa?
        > 76543210-3
        ! FindTenant -> {{"id": "t1", "name": "Panadería Sol"}}
        < Ese RUT ya tiene una cuenta. ¿Pides unirte? [Pedir acceso] [Usar otro RUT]
        > [Pedir acceso]
        ! RequestJoin -> true
        < Listo, mandé la solicitud.
        = ended joined
    """,
    "three-tries-in-other-words-then-a-person": f"""
        > hola
        {CONSENT}
        > [Sí, acepto]
        < ¿Cuál es el RUT de tu empresa?
        > no sé
        < Escríbelo así: 76.543.210-3. ¿Cuál es el RUT de tu empresa?
        > ???
        < El RUT tiene un guion, como 76.543.210-3. ¿Cuál es el RUT de tu empresa? [Hablar con alguien]
        > ni idea
        < No quiero hacerte perder más tiempo: te va a responder una persona.
        = human
    """,
    "without-a-desk-the-bot-goes-on": f"""
        desk: no
        > hola
        {CONSENT}
        > [Sí, acepto]
        < ¿Cuál es el RUT de tu empresa?
        > persona
        < Dejé anotado que necesitas a una persona.
        = human
        > hola
        {CONSENT}
    """,
}

SHOP: Final = {
    "orders-the-agent-and-a-sub-flow": f"""
        > hola
        < {MENU}
        > [Mis pedidos]
        ! FindOrders -> [{{"id": "S42", "title": "Pedido 42", "status": "en ruta"}}]
        < ¿Cuál pedido? [Pedido 42]
        > 1
        < Pedido 42: en ruta. {MENU}
        > ¿abren el domingo?
        ! AskAgent -> "Sí, de 9 a 14."
        < Sí, de 9 a 14. {MENU}
        > crear cuenta
        {CONSENT}
        > [No, gracias]
        < De acuerdo, no guardamos nada.
        = ended declined
        = ended True
    """,
    "a-call-that-fails-gives-a-person": """
        > mis pedidos
        ! FindOrders -> failed down
        < Tuvimos un problema; te ayuda una persona.
        = human
    """,
    "a-greeting-and-a-question-are-answered-once": f"""
        > hola
        > una consulta
        > ¿tienen pan?
        ! AskAgent {{"question": "una consulta\\n¿tienen pan?"}} -> "Sí, marraqueta."
        < Sí, marraqueta. {MENU}
    """,
    "who-writes-during-a-call-is-told-once": f"""
        > ¿tienen pan?
        @ 10s
        > gracias
        = quiet
        @ 1s
        > y tortas
        < Dame un segundo.
        > apúrate
        = quiet
        ! AskAgent -> "Sí."
        < Sí. {MENU}
    """,
    "a-call-that-never-returns-has-failed": """
        > ¿tienen pan?
        @ 45s
        < Tuvimos un problema; te ayuda una persona.
        = human
    """,
    "an-idle-question-is-dropped-without-a-word": f"""
        > hola
        < {MENU}
        @ 23h
        > gracias
        = quiet
        > hola
        < {MENU}
    """,
}
