"""The environment of a training process: what it needs, and nothing of the service's, such as keys."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

ALLOWED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "XDG_CACHE_HOME"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHON*", "VIRTUAL_ENV", "CONDA_*", "MPLCONFIGDIR"),
    *("CUDA_*", "NVIDIA_*", "NCCL_*", "GLOO_*", "TORCH*", "PYTORCH_*", "TRITON_*"),
    *("OMP_*", "MKL_*", "KMP_*", "GOMP_*", "MALLOC_*"),
    *("SSL_CERT_*", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""Names, with * for anything, of what is handed on."""

FORBIDDEN = ("*KEY*", "*TOKEN*", "*SECRET*", "*PASSWORD*", "*CREDENTIAL*")
"""Of these, whatever is called so stays here."""


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """What of it a training process may know.

    >>> clean({"PATH": "/bin", "LC_ALL": "C", "STN_KEYS": "k", "AWS_SECRET_ACCESS_KEY": "s"})
    {'PATH': '/bin', 'LC_ALL': 'C'}
    """
    return {
        name: value for name, value in environment.items() if _is(name, ALLOWED) and not _is(name.upper(), FORBIDDEN)
    }


def _is(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
