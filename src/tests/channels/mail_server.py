"""Mail servers of aiosmtpd: open, with STARTTLS and AUTH, and with TLS from the beginning.

The arguments are a certificate and its key. The first line of output names the ports; each further
one is a mail that arrived, as Python's own email package reads it. What becomes of a mail is up to
the local part of its recipient.
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import threading
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"ada@example.com", b"p/s\xc3\x9f word"


def tell(thing):
    print(json.dumps(thing), flush=True)


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=good, handled=good)


class Handler:
    def __init__(self, name):
        self.name = name

    async def handle_RCPT(self, server, session, envelope, address, options):
        match address.split("@")[0]:
            case "later":
                return f"451 4.7.1 <{address}>: greylisted, try again"
            case "never":
                return f"550 5.1.1 <{address}>: no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell({
            "server": self.name,
            "encrypted": session.ssl is not None or self.name == "tls",
            "authenticated": session.authenticated,
            "peer": session.peer[1],
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "defects": [str(defect) for part in mail.walk() for defect in part.defects],
            "parts": [part.get_content_type() for part in mail.walk()],
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
        })
        match envelope.rcpt_tos[0].split("@")[0]:
            case "busy":
                return "452 4.3.1 no room, try again"
            case "full":
                return "552 5.2.2 the mailbox is full"
            case "cut":
                server.transport.abort()
        return "250 2.0.0 OK: queued as 4711"


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    kinds = {
        "open": ({}, None),
        "starttls": ({"tls_context": context, "require_starttls": True, "auth_required": True}, None),
        "tls": ({"auth_required": True, "auth_require_tls": False}, context),
    }
    loop = asyncio.get_running_loop()
    ports = {}
    for name, (options, tls) in kinds.items():

        def serve(name=name, options=options):
            return SMTP(Handler(name), hostname="mail.example", authenticator=authenticate, **options)

        server = await loop.create_server(serve, "127.0.0.1", 0, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    tell(ports)
    await asyncio.Event().wait()


def end_with_input():
    sys.stdin.read()
    os._exit(0)


# What goes wrong here is meant to, and the tests look at it.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(main())
