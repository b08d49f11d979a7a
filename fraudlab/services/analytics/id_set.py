"""A set of numbers that are given out in order, such as `transaction_id`: a bit each, not an object each."""

CHUNK_BITS = 1 << 15


class IdSet:
    """Numbers from 0 on. Of ids that lie close together a million take about 130 kB."""

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}
        self._count = 0

    def add(self, number: int) -> bool:
        """Adds a number; gives whether it is new."""
        chunk, bit = divmod(number, CHUNK_BITS)
        bits = self._chunks.get(chunk)
        if bits is None:
            bits = self._chunks[chunk] = bytearray(CHUNK_BITS // 8)
        mask = 1 << (bit & 7)
        if bits[bit >> 3] & mask:
            return False
        bits[bit >> 3] |= mask
        self._count += 1
        return True

    def __contains__(self, number: int) -> bool:
        chunk, bit = divmod(number, CHUNK_BITS)
        bits = self._chunks.get(chunk)
        return bits is not None and bool(bits[bit >> 3] & (1 << (bit & 7)))

    def __len__(self) -> int:
        return self._count
