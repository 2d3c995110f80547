"""Functions of TensorFlow for images and feature maps, as `keras.ops`."""

import keras
import numpy as np

from tfprune.legacy.operations import sizes
from tfprune.legacy.operations import tf_arrays
from tfprune.legacy.operations import tf_windows

_OPS = keras.ops
_GRAY = (0.2989, 0.587, 0.114)
_YIQ = (
    (0.299, 0.59590059, 0.2115),
    (0.587, -0.27455667, -0.52273617),
    (0.114, -0.32134392, 0.31119955),
)
_YUV = (
    (0.299, -0.14714119, 0.61497538),
    (0.587, -0.28886916, -0.51496512),
    (0.114, 0.43601035, -0.10001026),
)
_OF_YIQ = (
    (1, 1, 1),
    (0.95598634, -0.27201283, -1.10674021),
    (0.6208248, -0.64720424, 1.70423049),
)
_OF_YUV = (
    (1, 1, 1),
    (0, -0.394642334, 2.03206185),
    (1.13988303, -0.58062185, 0),
)


def _resize(
    images,
    size,
    method="bilinear",
    preserve_aspect_ratio=False,
    antialias=False,
):
    if preserve_aspect_ratio:
        size = _within(images, size)
    if method in KERNELS:
        return by_kernel(images, size, method, antialias)
    if method != "nearest":
        images = _real(images)
    return _OPS.image.resize(
        images,
        tuple(sizes.listed(size)),
        interpolation=method,
        antialias=antialias,
    )


def _gaussian(x):
    return np.where(x < 1.5, np.exp(-2 * x**2), 0)


def _mitchell(x):
    near = (7 / 6 * x - 2) * x**2 + 8 / 9
    far = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, near, np.where(x < 2, far, 0))


# Functions of the distance in pixels, which are 0 beyond two of them.
KERNELS = {"gaussian": _gaussian, "mitchellcubic": _mitchell}


def by_kernel(images, size, method, antialias=False):
    """Resizes images by what Keras 3 lacks, one of `KERNELS`."""
    images = _real(images)
    for axis, n in zip((1, 2), np.ravel(size).tolist(), strict=True):
        have = _fixed(images, axis)
        at = (np.arange(n) + 0.5) * have / n
        wide = max(have / n, 1) if antialias else 1
        distances = np.abs(np.arange(have) + 0.5 - at[:, None]) / wide
        weights = KERNELS[method](distances)
        weights = np.float32(weights / weights.sum(1, keepdims=True))
        # One pixel of each new one's neighbours after the other.
        first = (weights != 0).argmax(1)
        parts = []
        for tap in range((weights != 0).sum(1).max()):
            place = np.minimum(first + tap, have - 1)
            share = weights[range(n), place] * (first + tap < have)
            share = np.reshape(share, [-1, 1, 1] if axis == 1 else [-1, 1])
            pixels = _OPS.take(images, place.astype("int32"), axis=axis)
            parts.append(pixels * share.astype("float32"))
        images = sum(parts[1:], start=parts[0])
    return images


def resize_bilinear(
    images, size, align_corners=False, half_pixel_centers=False
):
    """`tf.compat.v1.image.resize_bilinear`, which has other corners."""
    if half_pixel_centers:
        return _resize(images, size)
    images = _real(images)
    for axis, at in _places(images, size, align_corners):
        low = np.floor(at).astype("int32")
        high = np.minimum(low + 1, images.shape[axis] - 1)
        share = np.reshape(at - low, [-1, 1, 1] if axis == 1 else [-1, 1])
        first = _OPS.take(images, low, axis=axis)
        second = _OPS.take(images, high, axis=axis)
        images = first + (second - first) * share.astype("float32")
    return images


def resize_nearest(images, size, align_corners=False, half_pixel_centers=False):
    """`tf.compat.v1.image.resize_nearest_neighbor`."""
    if half_pixel_centers:
        return _resize(images, size, "nearest")
    for axis, at in _places(images, size, align_corners):
        nearest = np.floor(at + 0.5 * align_corners).astype("int32")
        images = _OPS.take(images, nearest, axis=axis)
    return images


def _real(images):
    """Images in the type that TensorFlow resizes to; Keras would round."""
    kind = keras.backend.standardize_dtype(images.dtype)
    return images if kind == "float32" else _OPS.cast(images, "float32")


def _places(images, size, align_corners):
    """Yields the axes and where on them the new pixels lie."""
    for axis, n in zip((1, 2), np.ravel(size).tolist(), strict=True):
        have = _fixed(images, axis)
        aligned = align_corners and n > 1
        scale = (have - 1) / (n - 1) if aligned else have / n
        yield axis, np.float32(scale) * np.arange(n, dtype="float32")


def _fixed(images, axis):
    if images.shape[axis] is None:
        raise ValueError(
            "Images must be resized from a fixed size. Received: images "
            f"of shape {images.shape}. Build the model in code."
        )
    return images.shape[axis]


def _crop(image, offset_height, offset_width, target_height, target_width):
    top, left = offset_height, offset_width
    return image[..., top : top + target_height, left : left + target_width, :]


def _pad(image, offset_height, offset_width, target_height, target_width):
    height, width = image.shape[-3:-1]
    pads = [
        (offset_height, target_height - height - offset_height),
        (offset_width, target_width - width - offset_width),
    ]
    rest = [(0, 0)] * (len(image.shape) - 3)
    return _OPS.pad(image, [*rest, *pads, (0, 0)])


def _within(images, size):
    """The largest size within another one that keeps the aspect ratio."""
    have = np.float32([_fixed(images, axis) for axis in (-3, -2)])
    scale = np.min(np.float32(size) / have)
    return np.round(scale * have).astype(int).tolist()


def _resize_and_pad(
    image, target_height, target_width, method="bilinear", antialias=False
):
    """`tf.image.resize_with_pad`: zeros around images of their aspect ratio."""
    have = np.float32([_fixed(image, axis) for axis in (-3, -2)])
    target = np.float32([target_height, target_width])
    whole = have / np.max(have / target)
    size = np.floor(whole).astype(int).tolist()
    before = np.maximum(np.floor((target - whole) / 2), 0).astype(int).tolist()
    small = _resize(image, size, method, antialias=antialias)
    return _pad(small, *before, target_height, target_width)


def _crop_and_resize(
    image,
    boxes,
    box_indices,
    crop_size,
    method="bilinear",
    extrapolation_value=0.0,
):
    """Boxes of images in one size.

    Each pixel is the sum of an image's rows and columns, times their shares.
    """
    boxes = tf_arrays.constant(boxes)
    chosen = _OPS.take(_real(image), tf_arrays.constant(box_indices), axis=0)
    shares, inside = [], []
    for axis, n in enumerate(crop_size):
        last = _fixed(image, axis + 1) - 1
        low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
        # The places of the new pixels, rounded as TensorFlow does: those beyond
        # an image have another value.
        at = 0.5 * (low + high) * last
        if n > 1:
            step = (high - low) * last / (n - 1)
            at = low * last + np.arange(n, dtype="float32") * step
        inside.append(_OPS.cast((at >= 0) & (at <= last), "float32"))
        if method == "nearest":
            at = _OPS.floor(at + 0.5)
        distance = _OPS.abs(at[:, :, None] - np.arange(last + 1.0, dtype="f"))
        shares.append(_OPS.maximum(1 - distance, 0.0))
    found = _OPS.einsum("byh,bhwc->bywc", shares[0], chosen)
    found = _OPS.einsum("bxw,bywc->byxc", shares[1], found)
    kept = inside[0][:, :, None, None] * inside[1][:, None, :, None]
    return found * kept + extrapolation_value * (1 - kept)


def _crop_or_pad(image, target_height, target_width):
    height, width = image.shape[-3:-1]
    kept = min(height, target_height), min(width, target_width)
    image = _crop(image, (height - kept[0]) // 2, (width - kept[1]) // 2, *kept)
    top, left = (target_height - kept[0]) // 2, (target_width - kept[1]) // 2
    return _pad(image, top, left, target_height, target_width)


def _central_crop(image, central_fraction):
    offsets = [int((n - n * central_fraction) / 2) for n in image.shape[-3:-1]]
    kept = [n - 2 * o for n, o in zip(image.shape[-3:-1], offsets, strict=True)]
    return _crop(image, *offsets, *kept)


def _standardized(image):
    axes = tuple(range(len(image.shape) - 3, len(image.shape)))
    count = np.prod([image.shape[axis] for axis in axes])
    mean = _OPS.mean(image, axes, keepdims=True)
    deviation = _OPS.std(image, axes, keepdims=True)
    return (image - mean) / _OPS.maximum(deviation, float(count**-0.5))


def _in_shares(function, images, *args):
    """A function of images; whole numbers are shares of the largest one."""
    kind = keras.backend.standardize_dtype(images.dtype)
    if "float" in kind:
        return function(images, *args)
    info = np.iinfo(kind)
    top = np.float32(info.max)
    if int(top) > info.max:
        top = np.nextafter(top, np.float32(0))
    shares = _OPS.cast(images, "float32") * (1 / info.max)
    whole = function(shares, *args) * (info.max + 0.5)
    return _OPS.cast(_OPS.clip(whole, info.min, top), kind)


def _brightness(image, delta):
    return _in_shares(_OPS.add, image, delta)


def _contrast(images, contrast_factor):
    def adjusted(x):
        mean = _OPS.mean(x, (-3, -2), keepdims=True)
        return (x - mean) * contrast_factor + mean

    return _in_shares(adjusted, images)


def _gray(images):
    weights = np.reshape(np.float32(_GRAY), (3, 1))

    def weighed(x):
        gray = _OPS.matmul(_OPS.cast(x, "float32"), weights)
        return _OPS.cast(gray, x.dtype)

    return _in_shares(weighed, images)


def _resize_1(
    images, size, method=0, align_corners=False, preserve_aspect_ratio=False
):
    """`tf.compat.v1.image.resize`, which has other corners."""
    known = {0: resize_bilinear, 1: resize_nearest}
    known |= {"bilinear": resize_bilinear, "nearest": resize_nearest}
    if method not in known:
        raise ValueError(
            "Images must be resized by bilinear or nearest. Received: "
            f"method={method!r}. Build the model in code."
        )
    if preserve_aspect_ratio:
        size = _within(images, size)
    return known[method](images, size, align_corners)


def _turned(image, k=1):
    # Of images that are no squares, Keras' own half turn has wrong pixels.
    for _ in range(k % 4):
        image = _OPS.flip(_transposed(image), -3)
    return image


def _transposed(image):
    return _OPS.swapaxes(image, -3, -2)


def _gamma(image, gamma=1, gain=1):
    return _in_shares(lambda x: gain * _OPS.power(x, gamma), image)


def _mixed(kernel):
    def call(images):
        return _OPS.matmul(images, np.float32(kernel))

    return call


def _hue(image, delta):
    def turned(x):
        hue, *rest = _OPS.split(_OPS.image.rgb_to_hsv(x), 3, axis=-1)
        hue = _OPS.mod(hue + delta, 1.0)
        return _OPS.image.hsv_to_rgb(_OPS.concatenate([hue, *rest], -1))

    return _in_shares(turned, image)


def _saturation(image, saturation_factor):
    def scaled(x):
        hue, part, value = _OPS.split(_OPS.image.rgb_to_hsv(x), 3, axis=-1)
        part = _OPS.clip(part * saturation_factor, 0.0, 1.0)
        hsv = _OPS.concatenate([hue, part, value], -1)
        return _OPS.image.hsv_to_rgb(hsv)

    return _in_shares(scaled, image)


def _patches(
    images, padding, sizes=None, strides=None, rates=None, ksizes=None
):
    return _OPS.image.extract_patches(
        images,
        tf_windows.spatial(sizes or ksizes, 2),
        strides=tf_windows.spatial(strides, 2),
        dilation_rate=tf_windows.spatial(rates or 1, 2),
        padding=padding.lower(),
        data_format="channels_last",
    )


def _normalized_locally(input, depth_radius=5, bias=1, alpha=1, beta=0.5):
    radius, channels = depth_radius, input.shape[-1]
    squares = _OPS.square(input)
    rest = [(0, 0)] * (len(input.shape) - 1)
    squares = _OPS.pad(squares, [*rest, (radius, radius)])
    total = sum(squares[..., i : i + channels] for i in range(2 * radius + 1))
    return input / _OPS.power(bias + alpha * total, beta)


def _converted(image, dtype, saturate=False):
    kinds = [str(image.dtype), dtype]
    if not all("float" in kind for kind in kinds):
        raise ValueError(
            "Images must be converted between types of real numbers. Received: "
            f"a conversion of {kinds[0]} to {kinds[1]}. Build it in code."
        )
    return _OPS.cast(image, dtype)


IMAGES = {
    "image.adjust_brightness": _brightness,
    "image.adjust_contrast": _contrast,
    "image.adjust_gamma": _gamma,
    "image.adjust_hue": _hue,
    "image.adjust_saturation": _saturation,
    "image.central_crop": _central_crop,
    "image.convert_image_dtype": _converted,
    "image.crop_and_resize": _crop_and_resize,
    "image.crop_to_bounding_box": _crop,
    "image.extract_patches": _patches,
    "image.flip_left_right": lambda image: _OPS.flip(image, -2),
    "image.flip_up_down": lambda image: _OPS.flip(image, -3),
    "image.grayscale_to_rgb": lambda images: _OPS.repeat(images, 3, -1),
    "image.hsv_to_rgb": lambda images: _OPS.image.hsv_to_rgb(images),
    "image.pad_to_bounding_box": _pad,
    "image.per_image_standardization": _standardized,
    "image.resize": _resize,
    "image.resize_bilinear": resize_bilinear,
    "image.resize_images": _resize_1,
    "image.resize_nearest_neighbor": resize_nearest,
    "image.resize_with_crop_or_pad": _crop_or_pad,
    "image.resize_with_pad": _resize_and_pad,
    "image.rgb_to_grayscale": _gray,
    "image.rgb_to_hsv": lambda images: _OPS.image.rgb_to_hsv(images),
    "image.rgb_to_yiq": _mixed(_YIQ),
    "image.rgb_to_yuv": _mixed(_YUV),
    "image.rot90": _turned,
    "image.transpose": _transposed,
    "image.yiq_to_rgb": _mixed(_OF_YIQ),
    "image.yuv_to_rgb": _mixed(_OF_YUV),
    "nn.depth_to_space": lambda input, block_size: _OPS.depth_to_space(
        input, block_size
    ),
    "nn.local_response_normalization": _normalized_locally,
    "nn.lrn": _normalized_locally,
    "nn.space_to_depth": lambda input, block_size: _OPS.space_to_depth(
        input, block_size
    ),
}
