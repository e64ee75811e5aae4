"""PEP 517 backend: PyPI sdist of Detectron2 v0.6 -> patched pure-Python `detectron2` wheel."""
import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

SDIST = "pb1-detectron2==0.6"
SHA256 = "5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29"
VERSION = "0.6"
REQUIRES = [  # upstream's install_requires, less black (a 2021 pin), future, pydot (caffe2 only)
    "torch>=2.6", "torchvision>=0.21", "numpy>=1.24", "Pillow>=9.1", "matplotlib",
    "pycocotools>=2.0.8", "termcolor>=1.1", "yacs>=0.1.8", "tabulate", "cloudpickle",
    "tqdm>4.29.0", "tensorboard", "fvcore>=0.1.5,<0.1.6", "iopath>=0.1.7,<0.1.11",
    "omegaconf>=2.1,<2.4", "hydra-core>=1.1,<1.4",
]
# The sdist's setup.py needs torch, and declares a dependency by URL, which pip refuses. `pip download`
# only wants the sdist's name and version: this stands in for setuptools and says just that.
FAKE_SETUPTOOLS = '''
import os
class __legacy__:
    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        info = os.path.join(directory, "pb1_detectron2-0.6.dist-info")
        os.makedirs(info)
        with open(os.path.join(info, "METADATA"), "w") as f:
            f.write("Metadata-Version: 2.1\\nName: pb1-detectron2\\nVersion: 0.6\\n")
        return os.path.basename(info)
    def build_wheel(*args, **kwargs):
        raise NotImplementedError
'''
C_STUB = '''"""Stand-in for Detectron2's compiled extension (its C++ sources are not on PyPI)."""
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise RuntimeError(f"detectron2._C.{name}: this is a pure-Python build of Detectron2")
'''
NP = [("np.bool)", "bool)")]
PATCHES = {  # file: [(old, new)], every occurrence; each must occur
    "detectron2/data/transforms/transform.py": [("Image.LINEAR", "Image.BILINEAR")],
    "detectron2/data/build.py": [("dtype=np.int)", "dtype=int)"), ("dtype=np.int\n", "dtype=int\n")],
    "detectron2/data/datasets/pascal_voc.py": [("dtype=np.str)", "dtype=str)")],
    "detectron2/structures/masks.py": NP,
    "detectron2/utils/visualizer.py": NP,
    "detectron2/utils/video_visualizer.py": NP,
    "detectron2/evaluation/pascal_voc_evaluation.py": NP,
    "detectron2/evaluation/sem_seg_evaluation.py": [("np.int)", "int)"), ("np.float)", "float)")],
    "detectron2/evaluation/coco_evaluation.py": [   # no compiled COCOeval here
        ("self._use_fast_impl = use_fast_impl", "self._use_fast_impl = False"),
        ("(COCOeval_opt if use_fast_impl else COCOeval)", "COCOeval")],
    "detectron2/layers/mask_ops.py": [("np.array(mask, copy=False)", "np.asarray(mask)")],
    "detectron2/model_zoo/model_zoo.py": [
        ("import pkg_resources\n", ""),
        ('pkg_resources.resource_filename(\n        "detectron2.model_zoo", os.path.join("configs", config_path)\n    )',
         'os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", config_path)')],
    "detectron2/modeling/anchor_generator.py": [
        ("torch.meshgrid(shifts_y, shifts_x)", 'torch.meshgrid(shifts_y, shifts_x, indexing="ij")')],
    "detectron2/engine/train_loop.py": [
        ("from torch.cuda.amp import GradScaler", "from torch.amp import GradScaler"),
        ("from torch.cuda.amp import autocast", "from torch.amp import autocast"),
        ("with autocast():", 'with autocast("cuda"):')],
}
MOVES = {  # what the sdist's setup.py installs under detectron2.projects
    "projects/PointRend/point_rend/": "detectron2/projects/point_rend/",
    "projects/DeepLab/deeplab/": "detectron2/projects/deeplab/",
    "projects/Panoptic-DeepLab/panoptic_deeplab/": "detectron2/projects/panoptic_deeplab/",
    "detectron2/": "detectron2/",
}


def _sdist(tmp):
    """Has pip (with the user's own index settings) fetch the sdist, by name, version and hash."""
    fake = os.path.join(tmp, "fake")
    os.makedirs(os.path.join(fake, "setuptools"))
    for name, text in (("__init__.py", ""), ("build_meta.py", FAKE_SETUPTOOLS)):
        with open(os.path.join(fake, "setuptools", name), "w") as f:
            f.write(text)
    req = os.path.join(tmp, "req.txt")
    with open(req, "w") as f:
        f.write(f"{SDIST} --hash=sha256:{SHA256}\n")
    # The outer build's hook variables would tell the inner pip to look for setuptools in this directory.
    env = {k: v for k, v in os.environ.items() if not k.startswith("_PYPROJECT_HOOKS_")}
    env["PYTHONPATH"] = os.pathsep.join(p for p in (fake, env.get("PYTHONPATH")) if p)
    subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--use-pep517",
                    "--no-build-isolation", "--require-hashes", "-d", tmp, "-r", req],
                   check=True, env=env, stdout=sys.stderr)
    return os.path.join(tmp, "pb1-detectron2-0.6.tar.gz")


def _metadata():
    head = ["Metadata-Version: 2.1", "Name: detectron2", f"Version: {VERSION}", "License: Apache-2.0",
            "Summary: Detectron2 v0.6, pure Python, patched for current torch/numpy/Pillow",
            "Requires-Python: >=3.8"]
    return "\n".join(head + [f"Requires-Dist: {r}" for r in REQUIRES]) + "\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {}
    with tempfile.TemporaryDirectory() as tmp:
        with tarfile.open(_sdist(tmp)) as tar:
            for m in tar.getmembers():
                rel = m.name.partition("/")[2]
                new = next((v + rel[len(k):] for k, v in MOVES.items() if rel.startswith(k)), None)
                if m.isfile() and (new or rel == "LICENSE"):
                    files[new or f"detectron2-{VERSION}.dist-info/LICENSE"] = tar.extractfile(m).read()
    for name, subs in PATCHES.items():
        text = files[name].decode()
        for old, new in subs:
            if old not in text:
                raise RuntimeError(f"{name}: {old!r} not found")
            text = text.replace(old, new)
        files[name] = text.encode()
    files["detectron2/_C.py"] = C_STUB.encode()
    info = f"detectron2-{VERSION}.dist-info/"
    files[info + "METADATA"] = _metadata().encode()
    files[info + "WHEEL"] = b"Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b'=').decode()},{len(d)}"
              for n, d in files.items()] + [info + "RECORD,,"]
    files[info + "RECORD"] = ("\n".join(record) + "\n").encode()
    wheel = f"detectron2-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError("install from the directory")
