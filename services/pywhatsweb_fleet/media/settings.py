"""What an operator can set for files, in the environment under ``PWW_``; the same in every service with files."""

from __future__ import annotations

from pywhatsweb_runtime.service import ServiceSettings

MIB = 1024 * 1024


class MediaSettings(ServiceSettings, frozen=True, kw_only=True):
    """Sizes in bytes."""

    media_url: str | None = None
    """Where files are kept: file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix."""
    media_endpoint: str | None = None
    """Where something other than Amazon's that speaks S3 listens (MinIO), as a URL."""
    media_days: float = 30.0
    """How long an upload, and the file of a message, is kept; 0: for ever."""
    media_image_bytes: int = 16 * MIB
    media_video_bytes: int = 16 * MIB
    media_audio_bytes: int = 16 * MIB
    media_sticker_bytes: int = MIB
    media_document_bytes: int = 100 * MIB
    media_max_pixels: int = 50_000_000
    """Of an image, frames of an animation counted together: more is taken for a decompression bomb."""
    media_open_uploads_bytes: int = 1024 * MIB
    """What a tenant's unfinished uploads may announce together."""
    media_link_networks: str = ""
    """Networks beside the public internet that links may lead to, as 10.0.0.0/8 fd00::/8."""
    media_link_timeout_s: float = 60.0
    """How long fetching a link may take altogether."""
    media_link_ca: str | None = None
    """A PEM file to trust beside the system's roots, for links."""
    ffmpeg: str | None = None
    """The program that converts sound; found on the PATH when absent."""
