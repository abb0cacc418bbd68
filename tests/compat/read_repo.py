#!/usr/bin/python3
"""An independent reader of coffer repositories, format 1, written from docs/format.md and nothing else.

    read_repo.py [--password-file] REPO KEY list
    read_repo.py [--password-file] REPO KEY extract SNAPSHOT FOLDER

It shares no code with coffer. Everything is checked on the way: names, commitments, tags, canonical JSON, ids. It keeps
whole packs in memory, so it is for small repositories.
"""

import argparse
import bz2
import hashlib
import hmac
import json
import lzma
import pathlib
import struct
import sys
import zlib
from collections import namedtuple

import nacl.bindings
import nacl.public
import nacl.pwhash
import nacl.signing
import zstandard
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

DATA_PACK, TREE_PACK, INDEX, SNAPSHOT, FORGET = 1, 2, 3, 4, 5
AES_GCM, CHACHA, NONE = 1, 2, 3
CIPHERS = {"aes-256-gcm": AES_GCM, "chacha20-poly1305": CHACHA, "none": NONE}
RAW, ZSTD, ZSTD_DELTA, LZ4, DEFLATE, BZIP2, XZ = range(7)
FILE, DIR, SYMLINK, FIFO, SOCKET, CHARDEV, BLOCKDEV = range(1, 8)
NO_ID = bytes(32)
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
TABLE_NUMBER, TRAILER_NUMBER = 1 << 32, (1 << 32) + 1


class Damaged(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Damaged(what)


class Cursor:
    """Little-endian fields, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        require(self.at + length <= len(self.data), "bytes end early")
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def i64(self):
        return self.number("q")

    def text(self):
        """None when absent."""
        text = self.take(self.u32())
        require(self.u8() == 0 and b"\0" not in text, "text without its NUL")
        return text or None

    def left(self):
        return len(self.data) - self.at


def derive(key, label, data=b""):
    return hmac.digest(key, label + b"\0" + data, "sha256")


def quote(text):
    """A JSON string in canonical form: upper-case escapes of control characters, all else as it is."""
    named = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(named.get(c) or (f"\\u{ord(c):04X}" if c < " " else c) for c in text) + '"'


def canonical_value(value):
    if isinstance(value, dict):
        return "{" + ",".join(quote(k) + ":" + canonical_value(value[k]) for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if isinstance(value, str) else str(int(value))


def canonical(document):
    return (canonical_value(document) + "\n").encode()


def parse_json(data):
    document = json.loads(data)
    require(canonical(document) == data, "JSON is not canonical")
    return document


def decompress(data, length=None, base=b""):
    """A frame with its magic number. length None: the frame says it itself. base: what a delta refers back to."""
    prefix = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    decoder = zstandard.ZstdDecompressor(dict_data=prefix, max_window_size=1 << 27)
    plain = decoder.decompress(data, max_output_size=length or 0)
    require(length is None or len(plain) == length, "decompressed length")
    return plain


def lz4_block(data):
    """Python's library has no LZ4: literals, then copies of what came before, in turn."""
    out, c = bytearray(), Cursor(data)

    def length(nibble):
        total = nibble
        while nibble == 15 and (total - 15) % 255 == 0:
            more = c.u8()
            total += more
            if more < 255:
                break
        return total

    while c.left():
        token = c.u8()
        out += c.take(length(token >> 4))
        if not c.left():
            break
        back, n = c.u16(), length(token & 15) + 4
        require(0 < back <= len(out), "LZ4 offset")
        for _ in range(n):
            out.append(out[-back])
    return bytes(out)


def stream_end(decoder, data):
    plain = decoder.decompress(data)
    require(decoder.eof and not decoder.unused_data, "stream end")
    return plain


def decode(codec, payload, length, base):
    """The plain bytes of a blob's payload."""
    if codec == RAW:
        return payload
    if codec in (ZSTD, ZSTD_DELTA):
        return decompress(ZSTD_MAGIC + payload, length, base)
    if codec == LZ4:
        return lz4_block(payload)
    require(codec in (DEFLATE, BZIP2, XZ), "unknown codec")
    if codec == DEFLATE:
        return stream_end(zlib.decompressobj(wbits=-15), payload)
    return stream_end(bz2.BZ2Decompressor() if codec == BZIP2 else lzma.LZMADecompressor(memlimit=64 << 20), payload)


# Keys


Keyring = namedtuple("Keyring", "role id_key chunker_key metadata_key epochs")


def slot_secret(kdf, kind, secret):
    salt = bytes.fromhex(kdf["salt"])
    if kind != "passphrase":
        return hashlib.blake2b(secret, digest_size=32, key=salt).digest()
    return nacl.pwhash.argon2id.kdf(32, secret, salt, opslimit=kdf["ops"], memlimit=kdf["memory"])


def unwrap(sealed, covered, secret):
    """Sealed by XChaCha20-Poly1305 as {data, nonce}: the plain text, or None when it is another key's."""
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            bytes.fromhex(sealed["data"]), covered, bytes.fromhex(sealed["nonce"]), secret)
    except nacl.exceptions.CryptoError:
        return None


FIXED = ("version", "id", "role", "kind", "created", "kdf", "wrapped", "public")
WHOLE = (*FIXED, "secret", "about", "epochs", "keyring")


def open_slot(data, kind, secret):
    """The plain keyring, or None when the slot is of another kind or another key's."""
    slot = parse_json(data)
    require(slot["version"] in (1, 2), "slot of another version")
    if slot["kind"] != kind:
        return None
    if slot["version"] == 1:
        covered = {name: slot[name] for name in ("version", "role", "kind", "created", "kdf")}
        return unwrap(slot["wrapped"], canonical(covered), slot_secret(slot["kdf"], kind, secret))
    pair = unwrap(slot["secret"], canonical({name: slot[name] for name in FIXED}),
                  slot_secret(slot["kdf"], kind, secret))
    if pair is None:
        return None
    signed = b"coffer key slot\0" + canonical({name: slot[name] for name in WHOLE})
    nacl.signing.VerifyKey(pair[32:]).verify(signed, bytes.fromhex(slot["signature"]))
    ring = nacl.public.SealedBox(nacl.public.PrivateKey(pair[:32])).decrypt(bytes.fromhex(slot["keyring"]))
    require(list(parse_keyring(ring).epochs) == slot["epochs"], "epochs of a slot")
    return ring


def parse_keyring(data):
    c = Cursor(data)
    require(c.u8() == 1, "keyring of another version")
    role = c.u8()
    require(c.u16() == 0, "keyring")
    keys = [c.take(32) for _ in range(3)]
    epochs = {}
    for _ in range(c.u32()):
        number, public, private = c.u32(), c.take(32), c.take(32)
        epochs[number] = (public, private)
    require(c.left() == 0 and epochs, "keyring")
    return Keyring(role, *keys, epochs)


# Sealed objects


class Seal:
    """An object's header with its key: opens the object's parts."""

    def __init__(self, data, repo_id, cipher, find_key):
        c = Cursor(data)
        require(c.take(4) == b"COFR" and c.u8() == 1, "not an object of format 1")
        self.type, self.cipher = c.u8(), c.u8()
        require(c.u8() == 0 and self.cipher == cipher, "header")
        self.key_id = c.take(16)
        commitment = c.take(32)
        self.is_pack = self.type in (DATA_PACK, TREE_PACK)
        self.epoch, self.sealed_key = (c.u32(), c.take(80)) if self.is_pack else (None, None)
        self.length = c.at
        self.repo_id = repo_id
        self.key = find_key(self)
        blank = data[:24] + bytes(32) + data[56:self.length]
        require(derive(self.key, b"coffer commitment", blank) == commitment, "commitment")

    def open(self, number, sealed):
        nonce = struct.pack("<Q", number) + bytes(4)
        extra = b"\1" + self.repo_id + bytes([self.type]) + self.key_id + struct.pack("<Q", number)
        if self.cipher == CHACHA:
            return ChaCha20Poly1305(self.key).decrypt(nonce, sealed, extra)
        if self.cipher == AES_GCM:
            return AESGCM(self.key).decrypt(nonce, sealed, extra)
        plain = sealed[:-16]
        AESGCM(self.key).decrypt(nonce, sealed[-16:], extra + plain)
        return plain


# Packs


TableBlob = namedtuple("TableBlob", "number off length codec chunks")
TableChunk = namedtuple("TableChunk", "id length bases sketch")
Place = namedtuple("Place", "pack type blob off length bases sketch")


def parse_table(c):
    require(c.u8() == 1, "pack table of another version")
    blobs, off = [], 140
    for _ in range(c.u32()):
        number, length, codec, flags, n_chunks = c.u32(), c.u32(), c.u8(), c.u8(), c.u16()
        require(codec <= XZ and flags <= 1 and n_chunks > 0, "pack table")
        chunks = []
        for _ in range(n_chunks):
            chunk_id, plain_length = c.take(32), c.u32()
            bases = [c.take(32) for _ in range(c.u8())] if codec == ZSTD_DELTA else []
            sketch = tuple(c.u32() for _ in range(4)) if flags & 1 else None
            chunks.append(TableChunk(chunk_id, plain_length, bases, sketch))
        require(codec != ZSTD_DELTA or (n_chunks == 1 and 1 <= len(chunks[0].bases) <= 2), "pack table")
        blobs.append(TableBlob(number, off, length, codec, chunks))
        off += length
    return blobs, off


def padme(length):
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    bits = exponent.bit_length()
    low = max(exponent - bits, 0)
    mask = (1 << low) - 1
    return (length + mask) & ~mask


class Pack:
    def __init__(self, data, seal):
        self.data, self.seal, self.type = data, seal, seal.type

    def plain_blob(self, blob):
        return self.seal.open(blob.number, self.data[blob.off:blob.off + blob.length])

    def own_table(self):
        """Its table of contents, from its end."""
        c = Cursor(self.seal.open(TRAILER_NUMBER, self.data[-32:]))
        off, length = c.u64(), c.u64()
        require(off + length + 32 == len(self.data), "trailer")
        c = Cursor(self.seal.open(TABLE_NUMBER, self.data[off:off + length]))
        blobs, end = parse_table(c)
        require(end == off, "table for other blobs")
        require(len(self.data) == padme(off + c.at + 16 + 32), "padding")
        require(not any(c.take(c.left())), "padding is not zeros")
        return blobs


# Trees


Entry = namedtuple("Entry", "type name mode uid gid user group mtime ctime dev ino nlink rdev target xattrs facts content")
Content = namedtuple("Content", "level id size")


def parse_dir_block(data):
    c = Cursor(data)
    require(c.u8() == 1, "directory block of another version")
    entries = []
    while c.left():
        kind, name = c.u8(), c.text()
        mode, uid, gid = c.u32(), c.u32(), c.u32()
        user, group, mtime, ctime = c.text(), c.text(), c.i64(), c.i64()
        dev, ino, nlink, rdev, target = c.u64(), c.u64(), c.u32(), (c.u32(), c.u32()), c.text()
        xattrs = [(c.text(), c.take(c.u32())) for _ in range(c.u16())]
        facts = [(c.text(), c.text() or b"") for _ in range(c.u16())]
        content = Content(c.u8(), c.take(32), c.u64())
        require(not entries or entries[-1].name < name, "names out of order")
        entries.append(Entry(kind, name, mode, uid, gid, user, group, mtime, ctime, dev, ino, nlink, rdev, target,
                             xattrs, facts, content))
    return entries


class Repository:
    """secret: the key file's bytes, or the password with password=True. from_packs: believe no index segment."""

    def __init__(self, path, secret, password=False, from_packs=False):
        self.path = pathlib.Path(path)
        config = parse_json((self.path / "config").read_bytes())
        self.config = config["body"]
        require(self.config["version"] == 1, "format of another version")
        features = {(operation, name) for operation, names in self.config["features"].items() for name in names}
        require(features <= {("delete", "signed-versions")}, "features that this reader does not know")
        self.has_signed_versions = bool(features)
        self.ring = self._open_keys("passphrase" if password else "key-file", secret)
        tag = derive(self.ring.metadata_key, b"coffer config", canonical(self.config))
        require(tag.hex() == config["tag"], "config tag")
        self.repo_id = bytes.fromhex(self.config["id"])
        self.cipher = CIPHERS[self.config["cipher"]]
        self.id_keys = {DATA_PACK: self.ring.id_key, TREE_PACK: derive(self.ring.id_key, b"coffer tree")}
        self.packs, self.plain_blobs = {}, {}
        self.places = self._places_of_packs() if from_packs else self._places_of_segments()

    def _objects(self, folder):
        """Name and bytes of each object there, the name proven."""
        for path in sorted((self.path / folder).rglob("*")):
            if path.is_file() and len(path.name) == 64:
                data = path.read_bytes()
                require(hashlib.sha256(data).hexdigest() == path.name, f"{path}: bytes do not fit the name")
                yield path.name, data

    def _open_keys(self, kind, secret):
        """What all objects that open say together: after two rotations at once each has epochs of its own."""
        rings = [parse_keyring(ring) for _, data in self._objects("keys") if (ring := open_slot(data, kind, secret))]
        require(rings, "no key slot opens")
        epochs = {number: pair for ring in rings for number, pair in ring.epochs.items()}
        return rings[0]._replace(epochs=epochs)

    def _object_key(self, seal):
        if not seal.is_pack:
            return derive(self.ring.metadata_key, b"coffer object", bytes([seal.type]) + seal.key_id)
        _, private = self.ring.epochs[seal.epoch]
        return nacl.public.SealedBox(nacl.public.PrivateKey(private)).decrypt(seal.sealed_key)

    def _unseal_object(self, data, kind):
        seal = Seal(data, self.repo_id, self.cipher, self._object_key)
        require(seal.type == kind, "object of another type")
        return seal.open(0, data[seal.length:])

    def _pack(self, name):
        if name not in self.packs:
            data = (self.path / "packs" / name[:2] / name).read_bytes()
            require(hashlib.sha256(data).hexdigest() == name, "pack bytes do not fit the name")
            self.packs[name] = Pack(data, Seal(data, self.repo_id, self.cipher, self._object_key))
        return self.packs[name]

    def _note(self, places, pack, kind, blobs):
        for blob in blobs:
            off = 0
            for chunk in blob.chunks:
                old = places.get(chunk.id)
                # Several packs may hold a chunk; what others are deltas against must be a whole one.
                if old is None or old.bases:
                    places[chunk.id] = Place(pack, kind, blob, off, chunk.length, chunk.bases, chunk.sketch)
                off += chunk.length

    def segments(self):
        """(packs, superseded ids) of each index segment; packs: (name, size, type, blobs)."""
        for _, data in self._objects("index"):
            packed = self._unseal_object(data, INDEX)
            c = Cursor(decompress(packed))
            require(c.u8() == 1, "segment of another version")
            superseded = [c.take(32).hex() for _ in range(c.u32())]
            packs = []
            for _ in range(c.u32()):
                name, size, kind = c.take(32).hex(), c.u64(), c.u8()
                packs.append((name, size, kind, parse_table(c)[0]))
            require(c.left() == 0, "segment")
            yield packs, superseded

    def _places_of_segments(self):
        places = {}
        for packs, _ in self.segments():
            for name, size, kind, blobs in packs:
                require(self._pack(name).type == kind and len(self._pack(name).data) == size, "segment and pack differ")
                self._note(places, name, kind, blobs)
        return places

    def _places_of_packs(self):
        places = {}
        for name, _ in self._objects("packs"):
            pack = self._pack(name)
            self._note(places, name, pack.type, pack.own_table())
        return places

    def _blob(self, place):
        """The decoded bytes of a blob."""
        key = (place.pack, place.blob.number)
        if key in self.plain_blobs:
            return self.plain_blobs[key]
        c = Cursor(self._pack(place.pack).plain_blob(place.blob))
        codec, length = c.u8(), c.u32()
        require(codec == place.blob.codec and length == sum(chunk.length for chunk in place.blob.chunks), "blob head")
        base = b"".join(self._whole(i) for i in place.bases)
        payload = c.take(c.left())
        plain = decode(codec, payload, length, base)
        require(len(plain) == length, "blob length")
        self.plain_blobs[key] = plain
        return plain

    def _whole(self, chunk_id):
        require(not self.places[chunk_id].bases, "a base that is itself a delta")
        return self.chunk(chunk_id)

    def chunk(self, chunk_id):
        place = self.places[chunk_id]
        plain = self._blob(place)[place.off:place.off + place.length]
        require(hmac.digest(self.id_keys[place.type], plain, "sha256") == chunk_id, "chunk id")
        return plain

    def extents(self, content):
        """(id or NO_ID for a hole, length) of each data chunk in order."""
        if content.level == 0:
            if content.size:
                yield content.id, content.size
            return
        c = Cursor(self.chunk(content.id))
        require((c.u8(), c.u8(), c.u16()) == (1, content.level, 0), "list head")
        total = 0
        for _ in range(c.u32()):
            entry, length = c.take(32), c.u64()
            total += length
            if content.level == 1:
                yield entry, length
            else:
                yield from self.extents(Content(content.level - 1, entry, length))
        require(c.left() == 0 and total == content.size, "list")

    def pieces(self, content):
        """The content's bytes; None and a length for holes."""
        for chunk_id, length in self.extents(content):
            if chunk_id == NO_ID:
                yield None, length
            else:
                plain = self.chunk(chunk_id)
                require(len(plain) == length, "chunk length")
                yield plain, length

    def read(self, content):
        return b"".join(bytes(length) if plain is None else plain for plain, length in self.pieces(content))

    def snapshots(self):
        """Documents by id, oldest first, those left out that another replaces."""
        all_of_them = {name: parse_json(self._unseal_object(data, SNAPSHOT)) for name, data in self._objects("snapshots")}
        replaced = {document["replaces"] for document in all_of_them.values() if self._is_version(document)}
        return dict(sorted(((name, document) for name, document in all_of_them.items() if name not in replaced),
                           key=lambda item: (item[1]["time"], item[0])))

    def _is_version(self, document):
        if not self.has_signed_versions:
            return True
        if "origin" in document:
            self._verify(b"coffer snapshot origin\0" + canonical(self._unmarked(document)), document["origin"])
        if "signature" not in document:
            return False
        marks = {field: document[field] for field in ("hold", "tags") if field in document}
        self._verify(b"coffer snapshot version\0" + bytes.fromhex(document["replaces"]) + canonical(marks), document["signature"])
        return True

    @staticmethod
    def _unmarked(document):
        left_out = ("hold", "audit", "signature", "origin")
        bare = {field: value for field, value in document.items() if field not in left_out}
        figures = {field: 0 for field in document["figures"] if field != "bytes_restored"}
        return {**bare, "tags": [], "history": [], "replaces": "00" * 32, "figures": figures}

    def _verify(self, signed, signature):
        seed = derive(min(self.ring.epochs.items())[1][1], b"coffer slot signature")
        nacl.signing.SigningKey(seed).verify_key.verify(signed, bytes.fromhex(signature))

    def forgotten(self):
        """The records of forgetting, oldest first."""
        records = [parse_json(self._unseal_object(data, FORGET)) for _, data in self._objects("gc/forget")]
        return sorted(records, key=lambda record: record["time"])

    def entries(self, directory):
        for chunk_id, length in self.extents(directory):
            block = self.chunk(chunk_id)
            require(len(block) == length, "block length")
            yield from parse_dir_block(block)

    def root(self, document):
        root = document["root"]
        (entry,) = self.entries(Content(root["level"], bytes.fromhex(root["id"]), root["size"]))
        require(entry.type == DIR, "root is not a directory")
        return entry

    def walk(self, document):
        """(path, entry) of everything, directories before what they hold. The root's path is empty."""
        stack = [(b"", self.root(document))]
        while stack:
            path, entry = stack.pop()
            yield path, entry
            if entry.type == DIR:
                below = [(path + b"/" + e.name if path else e.name, e) for e in self.entries(entry.content)]
                stack.extend(reversed(below))


# Cut points and sketches: not needed for reading, but whoever writes needs the same


class Chunker:
    """Cuts as the repository's config and chunker key say."""

    def __init__(self, repository, kind=None, sizes=None):
        chunker = repository.config["chunker"]
        self.kind = kind or chunker["kind"]
        self.min, self.nominal, self.max = sizes or (chunker["min"], chunker["nominal"], chunker["max"])
        key = derive(repository.ring.chunker_key, b"coffer gear")
        stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(4096))
        draws = struct.unpack("<512Q", stream)
        self.gear = [d for d in draws if (-d >> 8) & 255][:256]
        require(len(self.gear) == 256, "gear table")
        prf_key = derive(repository.ring.chunker_key, b"coffer prf")[:16]
        self.aes = Cipher(algorithms.AES(prf_key), modes.ECB())

    def lengths(self, data):
        out = []
        while data:
            out.append(self.cut(data[:self.max]))
            data = data[out[-1]:]
        return out

    def cut(self, data):
        if len(data) <= self.min or self.kind == "fixed":
            return len(data)
        return self._vg16(data) if self.kind == "vg16" else self._prf16(data)

    def _hash_at(self, data, i):
        h = 0
        for b in data[max(i - 63, 0):i + 1]:
            h = (2 * h + self.gear[b]) & 0xffffffffffffffff
        return h

    def _vg16(self, data):
        def rule(exponent):
            t = 2 ** (16 + exponent) // self.nominal
            return (t, 1 << 64) if t >= 1 else (1, 2 ** (80 + exponent) // self.nominal)

        early, late, gear = rule(-2), rule(2), self.gear
        h = self._hash_at(data, self.min - 2)
        for i in range(self.min - 1, len(data) - 1):
            h = (2 * h + gear[data[i]]) & 0xffffffffffffffff
            if h & 0xff00:
                continue
            t, below = early if i + 1 < self.nominal else late
            if h < below and (self._hash_at(data, i - 16) >> 8) & 255 < t:
                return i + 1
        return len(data)

    def _prf16(self, data):
        windows = b"".join(data[n - 16:n] for n in range(self.min, len(data)))
        words = struct.unpack(f"<{len(windows) // 8}Q", self.aes.encryptor().update(windows))[::2]
        for n, word in enumerate(words, self.min):
            below = 2 ** 62 // self.nominal if n < self.nominal else 2 ** 66 // self.nominal
            if word < below and len(set(data[n - 16:n])) > 1:
                return n
        return len(data)

    def sketch(self, data):
        factor = [first_word(f"coffer sketch factor {j}") | 1 for j in range(12)]
        addend = [first_word(f"coffer sketch addend {j}") for j in range(12)]
        mask, h, samples = 0xffffffffffffffff, 0, []
        for i, b in enumerate(data):
            h = (2 * h + self.gear[b]) & mask
            if i >= 63 and not h & 0xff00:
                samples.append(h)
        if len(samples) < 16:
            return (0, 0, 0, 0)
        features = [max((h * f + a) & mask for h in samples) for f, a in zip(factor, addend)]
        return tuple(fold(features[3 * k:3 * k + 3]) for k in range(4))


def first_word(text):
    return struct.unpack("<Q", hashlib.sha256(text.encode()).digest()[:8])[0]


def fold(features):
    s = 0
    for f in features:
        s = (s ^ f) * 0x9e3779b97f4a7c15 & 0xffffffffffffffff
        s ^= s >> 32
    return s & 0xffffffff or 1


def extract(repository, document, folder):
    """Directories and the bytes of files; nothing else of the entries."""
    for path, entry in repository.walk(document):
        target = pathlib.Path(folder, *(part.decode("utf-8", "surrogateescape") for part in path.split(b"/") if part))
        if entry.type == DIR:
            target.mkdir(parents=True, exist_ok=True)
        elif entry.type == FILE:
            with open(target, "xb") as file:
                for plain, length in repository.pieces(entry.content):
                    if plain is None:
                        file.seek(length, 1)
                    else:
                        file.write(plain)
                file.truncate(entry.content.size)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--password-file", action="store_true", help="KEY holds a password, not a key")
    parser.add_argument("repository")
    parser.add_argument("key")
    parser.add_argument("command", choices=("list", "extract"))
    parser.add_argument("arguments", nargs="*")
    args = parser.parse_args()
    secret = pathlib.Path(args.key).read_bytes()
    if args.password_file:
        secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    repository = Repository(args.repository, secret, args.password_file)
    snapshots = repository.snapshots()
    if args.command == "list":
        for name, document in snapshots.items():
            print(name, document["time"], document["host"], document["source"], *document["tags"])
        return
    wanted, folder = args.arguments
    (document,) = [d for name, d in snapshots.items() if name.startswith(wanted)]
    extract(repository, document, folder)


if __name__ == "__main__":
    try:
        main()
    except Damaged as error:
        sys.exit(f"read_repo: {error}")
