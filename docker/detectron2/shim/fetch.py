"""Has pip fetch the sdist of Detectron2 0.6 by name, version and hash."""

import os
import subprocess
import sys
from pathlib import Path

from shim import BuildError

# Uploaded by a third party; its Python files equal those of the tag v0.6, and the hash keeps them so.
SDIST = "pb1-detectron2"
VERSION = "0.6"
SHA256 = "5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29"

# `pip download` asks an sdist's build backend for its name and version. This one's setup.py imports torch and
# declares a dependency by URL, which pip refuses. A module of the name that it asks for answers instead.
_BACKEND = f'''
import os
class __legacy__:
    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        info = "{SDIST.replace("-", "_")}-{VERSION}.dist-info"
        os.makedirs(os.path.join(directory, info))
        with open(os.path.join(directory, info, "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: {SDIST}\\nVersion: {VERSION}\\n")
        return info
    def build_wheel(*args, **kwargs):
        raise NotImplementedError("only downloaded")
'''

_FAILED = f"""can't fetch {SDIST} {VERSION} (0.5 MB), the source of the detectron2 wheel, from the package \
index; pip's own words are above.
hint: one of
  - without a network or behind a proxy: set PIP_INDEX_URL (and PIP_CERT) to an index that answers, or
    PIP_FIND_LINKS to a folder that holds {SDIST}-{VERSION}.tar.gz
  - if the hashes differ, the index serves another file than the one that was checked: don't use it
  - install an official build of Detectron2 into this environment, and leave this one out"""


def fetch_sdist(directory: Path) -> Path:
    """Downloads the sdist into `directory` and returns its path; pip checks the hash.

    Raises:
        BuildError: pip could not fetch it, or its hash differs.
    """
    setuptools = directory / "backend" / "setuptools"
    setuptools.mkdir(parents=True)
    (setuptools / "__init__.py").touch()
    (setuptools / "build_meta.py").write_text(_BACKEND)
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{SDIST}=={VERSION} --hash=sha256:{SHA256}\n")
    # The outer build's hook variables would tell the inner pip to look for setuptools in this directory.
    env = {key: value for key, value in os.environ.items() if not key.startswith("_PYPROJECT_HOOKS_")}
    env["PYTHONPATH"] = os.pathsep.join(p for p in (str(setuptools.parent), env.get("PYTHONPATH")) if p)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        SDIST,
        "--use-pep517",
    ]
    command += ["--no-build-isolation", "--require-hashes", "-d", str(directory), "-r", str(requirements)]
    done = subprocess.run(command, check=False, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    sdist = directory / f"{SDIST}-{VERSION}.tar.gz"
    if done.returncode != 0 or not sdist.is_file():
        raise BuildError(_FAILED)
    return sdist
