"""p2p's random order of pairs, crops and mirroring, for comparisons with the same ones in PyTorch.

A second implementation of the draws of backend/p2p_philox.h, and of dataset_order and augment_draw of train/data/. Epochs
and samples count from 0.
"""

WORD = 0xFFFFFFFF


def philox(counter, key):
    """Philox-4x32-10: four random words."""
    x, (k0, k1) = list(counter), key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [product1 >> 32 ^ x[1] ^ k0, product1 & WORD, product0 >> 32 ^ x[3] ^ k1, product0 & WORD]
        k0, k1 = k0 + 0x9E3779B9 & WORD, k1 + 0xBB67AE85 & WORD
    return x


def name_hash(name):
    """FNV-1a, 32 bits."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & WORD
    return value


def below(bound, seed, stream, index, item, epoch):
    """An integer in [0, bound)."""
    words = philox([index & WORD, index >> 32, item, epoch],
                   [seed & WORD ^ name_hash(stream), seed >> 32 ^ 0x5EED5EED])
    return int((words[0] >> 5 << 26 | words[1] >> 6) / 2**53 * bound)


def order(count, seed, epoch):
    """The numbers of the pairs in the order of an epoch."""
    numbers = list(range(count))
    for last in range(count - 1, 0, -1):
        chosen = below(last + 1, seed, "shuffle", last, 0, epoch)
        numbers[last], numbers[chosen] = numbers[chosen], numbers[last]
    return numbers


def augmentation(range_of_crops, seed, epoch, sample):
    """(left, top, whether it is mirrored): the crop's corner is within 0 to range_of_crops."""
    left, top = (below(range_of_crops + 1, seed, "crop", index, sample, epoch) for index in (0, 1))
    return left, top, below(2, seed, "mirror", 0, sample, epoch) == 1
