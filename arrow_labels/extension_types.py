"""The Arrow extension types of the tables, and their scalars, which convert to NumPy."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arrow_labels.errors import SchemaError
from arrow_labels.rle import Mask, rle_to_mask
from arrow_labels.schema import CUBOID_COLUMNS, POINT, RLE
from arrow_labels.tables import as_small

Floats = npt.NDArray[np.float64]

_CORNERS: Final = np.column_stack(
    [np.tile([0.5, -0.5, -0.5, 0.5], 2), np.tile([0.5, 0.5, -0.5, -0.5], 2), np.repeat([-0.5, 0.5], 4)]
)
"""Corners of a cube, ahead, left and up."""


class LabelScalar(pa.ExtensionScalar):  # type: ignore[misc]
    """What the scalars have in common: NumPy takes them for the arrays that they are."""

    @abstractmethod
    def to_numpy(self) -> npt.NDArray[Any] | None:
        """The value as an array; None for null."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.to_numpy(), dtype)


class PointsScalar(LabelScalar):
    """The vertices of one annotation."""

    def to_numpy(self) -> Floats | None:
        """Vertices as an array (n, 2), or (n, 3) where one of them has a z; NaN for what is null; None for null."""
        if not self.is_valid:
            return None
        found = _columns(self.value.values)
        return found if not np.isnan(found[:, 2]).all() else found[:, :2]


class CuboidScalar(LabelScalar):
    """One cuboid."""

    def to_numpy(self) -> Floats | None:
        """x, y, z, length, width, height, yaw, qx, qy, qz, qw as an array of 11; NaN for what is null."""
        return np.array([*map(_number, self.as_py().values())]) if self.is_valid else None

    def corners(self) -> Floats | None:
        """The eight corners as an array (8, 3), in the order of `LazyFrame.labels.corners`; None for null.

        Examples
        --------
        >>> import arrow_labels as al
        >>> car = {"id": 1, "category_id": 0, "type": "cuboid", "yaw": 0.0, "position": {"x": 10, "y": 0, "z": 1},
        ...        "dimensions": {"x": 4, "y": 2, "z": 2}}
        >>> cuboids = al.to_extension(al.decode_labels([{"annotations": [car]}]).cuboids)
        >>> cuboids["cuboid"][0].corners()[:2]
        array([[12.,  1.,  0.],
               [ 8.,  1.,  0.]])
        """
        values = self.to_numpy()
        if values is None:
            return None
        position, size, yaw, quaternion = values[:3], values[3:6], values[6], values[7:]
        norm = float(np.linalg.norm(quaternion))
        if norm > 0:
            x, y, z, w = quaternion / norm
        else:  # NaN, too: a rotation that is not there
            x, y, z, w = 0, 0, np.sin(yaw / 2), np.cos(yaw / 2)
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        corners: Floats = position + (_CORNERS * size) @ rotation.T
        return corners


class RleScalar(LabelScalar):
    """One mask as run lengths."""

    def to_numpy(self) -> Mask | None:
        """Pixels as a bool array (height, width); None for null.

        Raises
        ------
        BitmapError
            The counts do not cover the image exactly.
        """
        return rle_to_mask(self.value) if self.is_valid else None


class PointIdsScalar(LabelScalar):
    """The id of each point of one point cloud."""

    def to_numpy(self) -> npt.NDArray[np.int32] | None:
        """Ids as an int32 array (n,); None for null."""
        return np.asarray(self.value.values, np.int32) if self.is_valid else None


class LabelType(pa.ExtensionType):  # type: ignore[misc]
    """What the types have in common: a storage type of any offsets, which is kept as it is.

    Raises
    ------
    SchemaError
        The storage is not that of the type.
    """

    NAME: ClassVar[str]
    STORAGE: ClassVar[pa.DataType]
    SCALAR: ClassVar[type[pa.ExtensionScalar]]

    def __init__(self, storage_type: pa.DataType | None = None) -> None:
        storage = self.STORAGE if storage_type is None else storage_type
        if as_small(storage) != self.STORAGE:
            raise SchemaError(f"Expected `{self.STORAGE}` as storage of `{self.NAME}`, got `{storage}`")
        super().__init__(storage, self.NAME)

    def __hash__(self) -> int:  # pyarrow's types that can be extended have none
        return hash((self.NAME, self.storage_type))

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> LabelType:
        # The storage that is there, not the one of the schema: another one would read its buffers wrongly.
        return cls(storage_type)

    def __arrow_ext_scalar_class__(self) -> type[pa.ExtensionScalar]:
        return self.SCALAR


class PointsType(LabelType):
    """``arrow_labels.points``: vertices, in pixels (z null) or world metres.

    Examples
    --------
    >>> import arrow_labels as al
    >>> box = {"id": 1, "category_id": 0, "type": "bbox", "points": [[1, 2], [3, 4]]}
    >>> al.to_extension(al.decode_labels([{"annotations": [box]}]).vectors)["points"][0].to_numpy()
    array([[1., 2.],
           [3., 4.]])
    """

    NAME = "arrow_labels.points"
    STORAGE = pa.list_(POINT)
    SCALAR = PointsScalar


class CuboidType(LabelType):
    """``arrow_labels.cuboid``: centre and size in world metres, yaw in radians, rotation xyzw."""

    NAME = "arrow_labels.cuboid"
    STORAGE = pa.struct([(name, pa.float64()) for name in CUBOID_COLUMNS])
    SCALAR = CuboidScalar


class RleType(LabelType):
    """``arrow_labels.rle``: a mask as COCO run lengths, column-major, the first run counts zeros."""

    NAME = "arrow_labels.rle"
    STORAGE = RLE
    SCALAR = RleScalar


class PointIdsType(LabelType):
    """``arrow_labels.point_ids``: the id of each point of a point cloud, 0 for unlabelled."""

    NAME = "arrow_labels.point_ids"
    STORAGE = pa.list_(pa.int32())
    SCALAR = PointIdsScalar


TYPES: Final[tuple[type[LabelType], ...]] = (PointsType, CuboidType, RleType, PointIdsType)


def _columns(structs: pa.StructArray) -> Floats:
    """Numbers of an array of structs, one row a struct."""
    return np.column_stack([values.to_numpy(zero_copy_only=False) for values in structs.flatten()]).astype(np.float64)


def _number(value: Any) -> float:
    return np.nan if value is None else value
