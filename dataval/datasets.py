"""Small data sets to try methods on, split once and for all by a seed.

Digits, breast cancer and wine come with scikit-learn. Fashion-MNIST is read from its four IDX
files, found in a folder, or downloaded. Nothing is augmented and no noise added: see
`dataval.noise`. Images of your own are found by `image_folder`.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.checks import some_folder, whole_number
from dataval.images import ImageFolder, image_folder

__all__ = [
    "Dataset",
    "ImageFolder",
    "image_folder",
    "load_breast_cancer",
    "load_digits",
    "load_fashion_mnist",
    "load_wine",
]

Array = npt.NDArray[Any]

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_PACKAGED_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_IDX_UINT8 = 0x08


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and validation samples of one classification problem.

    Attributes
    ----------
    X_train, X_val : ndarray of float32, shapes (n_train, …) and (n_val, …)
        Features; images are (n, 1, height, width) in [0, 1].
    y_train, y_val : ndarray of int64, shapes (n_train,) and (n_val,)
        Labels from 0.
    class_names : tuple of str
        The name of each label.
    name : str
        The name of the data set.
    """

    X_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    X_val: npt.NDArray[np.float32]
    y_val: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}: {len(self.X_train)} training and {len(self.X_val)} validation "
            f"samples of shape {self.X_train.shape[1:]}, {self.n_classes} classes)"
        )


def load_digits(*, n_train: int | None = None, n_val: int = 500, seed: int = 0) -> Dataset:
    """Load scikit-learn's 1,797 handwritten digits as images of shape (1, 8, 8) in [0, 1].

    Parameters
    ----------
    n_train : int, optional
        Training samples; all that validation leaves unless given.
    n_val : int, default 500
        Validation samples.
    seed : int, default 0
        What the split is drawn from; validation stays the same whatever `n_train` is.

    Returns
    -------
    Dataset
        Ten classes.

    Raises
    ------
    ValueError
        If there are fewer samples than asked for.
    """
    bunch = _bundled("digits")
    X_train, X_val, y_train, y_val = _split(bunch, n_train, n_val, seed)
    names = tuple(str(digit) for digit in bunch.target_names)
    return Dataset(_as_images(X_train, 8, 16.0), y_train, _as_images(X_val, 8, 16.0), y_val, names, "digits")


def load_breast_cancer(
    *, n_train: int | None = None, n_val: int = 150, standardize: bool = True, seed: int = 0
) -> Dataset:
    """Load scikit-learn's 569 breast tumours, 30 features, malignant (0) or benign (1).

    Parameters
    ----------
    n_train : int, optional
        Training samples; all that validation leaves unless given.
    n_val : int, default 150
        Validation samples.
    standardize : bool, default True
        Whether to bring each feature to mean 0 and standard deviation 1 over the training samples.
    seed : int, default 0
        What the split is drawn from; validation holds the same samples whatever `n_train` is.

    Returns
    -------
    Dataset
        Two classes.

    Raises
    ------
    ValueError
        If there are fewer samples than asked for.
    """
    return _tabular("breast_cancer", n_train, n_val, standardize, seed)


def load_wine(
    *, n_train: int | None = None, n_val: int = 50, standardize: bool = True, seed: int = 0
) -> Dataset:
    """Load scikit-learn's 178 wines, 13 features, from three growers.

    Parameters
    ----------
    n_train : int, optional
        Training samples; all that validation leaves unless given.
    n_val : int, default 50
        Validation samples.
    standardize : bool, default True
        Whether to bring each feature to mean 0 and standard deviation 1 over the training samples.
    seed : int, default 0
        What the split is drawn from; validation holds the same samples whatever `n_train` is.

    Returns
    -------
    Dataset
        Three classes.

    Raises
    ------
    ValueError
        If there are fewer samples than asked for.
    """
    return _tabular("wine", n_train, n_val, standardize, seed)


def load_fashion_mnist(
    *,
    n_train: int | None = None,
    n_val: int | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Load Fashion-MNIST as images of shape (1, 28, 28) in [0, 1].

    Training samples are drawn from its 60,000 training images, validation samples from its 10,000
    test images.

    The four IDX files (``train-images-idx3-ubyte`` and so on, with ``.gz`` or without) are looked
    for in `folder`; without it in the folder that the environment variable ``DATAVAL_DATA`` names
    or its subfolder ``fashion-mnist``, then in ``/usr/share/datasets/fashion-mnist``, where
    Debian's package ``dataset-fashion-mnist`` puts them. Failing these the images are downloaded
    from OpenML into scikit-learn's own cache.

    Parameters
    ----------
    n_train : int, optional
        Training samples; all 60,000 unless given.
    n_val : int, optional
        Validation samples; all 10,000 unless given.
    seed : int, default 0
        What the samples are drawn from. A smaller number from one seed gives the first samples of
        a larger one.
    folder : path, optional
        Where the files are; nothing else is then tried.

    Returns
    -------
    Dataset
        Ten classes of clothing.

    Raises
    ------
    ValueError
        If there are fewer samples than asked for, or a file is not what its name says.
    FileNotFoundError
        If the files are nowhere and cannot be downloaded.

    References
    ----------
    Xiao, Rasul, Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms. arXiv:1708.07747, 2017.
    """
    found = _fashion_mnist_folder(folder)
    train, val = _download_fashion_mnist() if found is None else _read_fashion_mnist(found)
    rng = np.random.default_rng(whole_number("seed", seed, minimum=0))
    X_train, y_train = _draw(*train, n_train, rng, "n_train")
    X_val, y_val = _draw(*val, n_val, rng, "n_val")
    return Dataset(X_train, y_train, X_val, y_val, FASHION_MNIST_CLASSES, "fashion_mnist")


def _bundled(name: str) -> Any:
    import sklearn.datasets

    return getattr(sklearn.datasets, f"load_{name}")()


def _tabular(name: str, n_train: int | None, n_val: int, standardize: bool, seed: int) -> Dataset:
    bunch = _bundled(name)
    X_train, X_val, y_train, y_val = _split(bunch, n_train, n_val, seed)
    if standardize:
        mean, spread = X_train.mean(axis=0), X_train.std(axis=0)
        spread[spread == 0.0] = 1.0
        X_train, X_val = (X_train - mean) / spread, (X_val - mean) / spread
    return Dataset(
        X_train.astype(np.float32),
        y_train,
        X_val.astype(np.float32),
        y_val,
        tuple(str(label) for label in bunch.target_names),
        name,
    )


def _split(bunch: Any, n_train: int | None, n_val: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Return X_train, X_val, y_train, y_val: validation is the first of a shuffled order."""
    total = len(bunch.target)
    rest = total - _count("n_val", n_val, total - 1)
    wanted = rest if n_train is None else _count("n_train", n_train, rest)
    order = np.random.default_rng(whole_number("seed", seed, minimum=0)).permutation(total)
    val, train = order[:n_val], order[n_val : n_val + wanted]
    labels = bunch.target.astype(np.int64)
    return bunch.data[train], bunch.data[val], labels[train], labels[val]


def _draw(
    pixels: Array, labels: Array, count: int | None, rng: np.random.Generator, name: str
) -> tuple[Array, Array]:
    wanted = len(labels) if count is None else _count(name, count, len(labels))
    chosen = rng.permutation(len(labels))[:wanted]
    return _as_images(pixels[chosen], 28, 255.0), labels[chosen].astype(np.int64)


def _as_images(pixels: Array, side: int, brightest: float) -> npt.NDArray[np.float32]:
    """Bring pixels to float32 in [0, 1], shape (n, 1, side, side)."""
    images = pixels.reshape(-1, 1, side, side).astype(np.float32)
    images /= np.float32(brightest)
    return images


def _count(name: str, count: int, available: int) -> int:
    """Return how many samples are asked for."""
    if not 1 <= whole_number(name, count) <= available:
        raise ValueError(f"{name} asks for {count} samples, but from 1 to {available} can be had.")
    return count


def _fashion_mnist_folder(folder: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder that holds the four files, or None where they are to be downloaded."""
    if folder is not None:
        if missing := _missing(some_folder("folder", folder)):
            raise FileNotFoundError(
                f"{folder} lacks {', '.join(missing)} (with .gz or without); put the four "
                "Fashion-MNIST files there, or leave folder out."
            )
        return Path(folder)
    candidates = [_PACKAGED_FOLDER]
    if from_environment := os.environ.get("DATAVAL_DATA"):
        root = Path(from_environment)
        candidates = [root, root / "fashion-mnist", *candidates]
    return next((path for path in candidates if not _missing(path)), None)


def _missing(folder: Path) -> list[str]:
    return [name for name in _FILES if _idx_file(folder, name) is None]


def _idx_file(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _read_fashion_mnist(folder: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    images, labels, test_images, test_labels = (_read_idx(folder, name) for name in _FILES)
    for pixels, classes in ((images, labels), (test_images, test_labels)):
        if pixels.shape != (len(classes), 28, 28):
            raise ValueError(
                f"{folder} holds images of shape {pixels.shape} for {len(classes)} labels, not "
                "28 x 28 pixels for each; get the four Fashion-MNIST files anew."
            )
    return (images, labels), (test_images, test_labels)


def _read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """Read an IDX file of bytes: two zeros, type, number of axes, big-endian lengths, entries."""
    path = _idx_file(folder, name)
    assert path is not None  # _fashion_mnist_folder has looked
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    n_axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * n_axes
    if content[:3] != bytes((0, 0, _IDX_UINT8)) or len(content) < start:
        raise ValueError(f"{path} is not an IDX file of bytes; get it anew.")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", n_axes, offset=4))
    if len(content) - start != int(np.prod(shape)):
        raise ValueError(f"{path} holds {len(content) - start} entries, not {shape}; get it anew.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _download_fashion_mnist() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Fetch from OpenML, whose 70,000 rows are the training images and then the test images."""
    from sklearn.datasets import fetch_openml

    parser = "auto" if importlib.util.find_spec("pandas") else "liac-arff"
    try:
        bunch = fetch_openml("Fashion-MNIST", version=1, as_frame=False, parser=parser)
    except OSError as error:
        raise FileNotFoundError(
            f"Fashion-MNIST is in no known folder and OpenML cannot be reached ({error}). Put "
            f"{', '.join(_FILES)} (with .gz or without) into a folder and pass it as folder, or "
            "name it in the environment variable DATAVAL_DATA; on Debian, "
            "apt install dataset-fashion-mnist."
        ) from error
    pixels, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    return (pixels[:60_000], labels[:60_000]), (pixels[60_000:], labels[60_000:])
