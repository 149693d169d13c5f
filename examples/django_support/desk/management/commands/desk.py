"""Starts the support desk: its tables, its first user, its server."""

import secrets
import socket
from argparse import ArgumentParser
from typing import Any

import uvicorn
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, call_command


class Command(BaseCommand):
    help = "Start the support desk on loopback; at the first start it makes a user and prints its password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8001, help="0: a free one")

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        if not users.exists():
            password = secrets.token_urlsafe(12)
            users.create_superuser("ana", password=password)
            self.stdout.write(f"The first user is ana, with password {password} (shown once).")
        listening = socket.create_server(("127.0.0.1", options["port"]))
        self.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        self.stdout.flush()
        config = uvicorn.Config("project.asgi:application", log_level="warning")
        uvicorn.Server(config).run(sockets=[listening])
