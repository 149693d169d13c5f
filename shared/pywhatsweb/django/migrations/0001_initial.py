"""The first tables."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies: ClassVar[list[tuple[str, str]]] = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="Chat",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("chat_id", models.CharField(max_length=128, unique=True)),
                ("status", models.CharField(db_index=True, max_length=20)),
                ("owner_id", models.CharField(blank=True, max_length=128, null=True)),
                ("last_message_at", models.DateTimeField(blank=True, null=True)),
                ("document", models.JSONField(default=dict)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Contact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("phone", models.CharField(max_length=128, unique=True)),
                ("name", models.CharField(blank=True, max_length=255, null=True)),
                ("is_group", models.BooleanField(default=False)),
                ("document", models.JSONField(default=dict)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("trace_id", models.CharField(max_length=100, unique=True)),
                ("session_id", models.CharField(max_length=100)),
                ("event_type", models.CharField(max_length=100)),
                ("user_id", models.CharField(blank=True, db_index=True, max_length=128, null=True)),
                ("timestamp", models.DateTimeField(db_index=True)),
                ("document", models.JSONField(default=dict)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("message_id", models.CharField(max_length=255, unique=True)),
                ("content", models.TextField(blank=True)),
                ("sender", models.CharField(db_index=True, max_length=128)),
                ("recipient", models.CharField(db_index=True, max_length=128)),
                ("message_type", models.CharField(max_length=20)),
                ("status", models.CharField(max_length=20)),
                ("trace_id", models.CharField(max_length=100)),
                ("timestamp", models.DateTimeField(db_index=True)),
                ("document", models.JSONField(default=dict)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("session_id", models.CharField(max_length=100, unique=True)),
                ("tenant_id", models.CharField(blank=True, max_length=64, null=True)),
                ("status", models.CharField(default="disconnected", max_length=20)),
                ("phone_number", models.CharField(blank=True, max_length=32, null=True)),
            ],
            options={
                "abstract": False,
            },
        ),
    ]
