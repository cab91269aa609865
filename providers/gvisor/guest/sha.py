"""SHA-256 without OpenSSL, which would be in every image of every world."""

try:
    from _sha256 import sha256
except ImportError:
    from _sha2 import sha256

__all__ = ['sha256']
