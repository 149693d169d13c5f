"""The Kanban service: who answers whom, and until when; a tenant's policy applied to what happens in its chats."""
