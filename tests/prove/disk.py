# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a disk may hold after a power cut: a model of a directory, fed from the journal of tests/tools/cut-layer.c.

    disk = Disk(directory, journal)      # all that is there now is durable
    ...                                  # a program changes the directory under the layer, and is ended
    disk.follow()
    disk.power_cut(rng)                  # the directory is now as it might be found after a power cut

The model knows what POSIX promises and no more. A file's data are durable after an fsync of that file, its name after an
fsync of the directory that holds it, whatever file systems do beyond. Of what is not durable anything may be there: nothing,
all, what came first with the last write torn, or for each sector by itself (of 512 or 4096 bytes, as they were at one moment
or another) what it once held; of names not synced some may be, others not. A rename within a directory is all or nothing, and so
is a truncation, on which SQLite's log rests.

What the program did in ways that the layer does not see would make every statement worthless, so compare() looks whether the
model's present is what is really there.
"""
import os
import shutil
import struct

CREATE, WRITE, TRUNCATE, SYNC, MKDIR, UNLINK, RENAME, LINK = range(8)
RECORD = struct.Struct("=IIIIQQ")
SECTORS = (512, 4096)


def write_to(data, at, new):
    if len(data) < at:
        data.extend(bytes(at - len(data)))
    data[at:at + len(new)] = new


def resize(data, size):
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


class File:
    def __init__(self, data=b""):
        self.durable, self.pending = bytearray(data), []

    def apply(self, data, change):
        kind, at, new = change
        if kind == WRITE:
            write_to(data, at, new)
        else:
            resize(data, at)

    def sync(self):
        for change in self.pending:
            self.apply(self.durable, change)
        self.pending = []

    def images(self):
        """Its contents at every moment since the last sync."""
        images = [bytes(self.durable)]
        data = bytearray(self.durable)
        for change in self.pending:
            self.apply(data, change)
            images.append(bytes(data))
        return images

    def now(self):
        return self.images()[-1]

    def torn(self, images, rng):
        """What came first, and of the write that follows some sectors from its beginning."""
        n = rng.randrange(len(images))
        data = bytearray(images[n])
        if n < len(self.pending) and self.pending[n][0] == WRITE:
            _, at, new = self.pending[n]
            ends = [end for end in range(at - at % 512 + 512, at + len(new), 512)]
            if ends:
                write_to(data, at, new[:rng.choice(ends) - at])
        return bytes(data)

    def scattered(self, rng):
        """Each sector as it was at some moment, the size as it was at another. But truncations happen one after the other, and
        each of them at once: those up to a moment have, to whatever was written, and those after it have not."""
        cuts = [i + 1 for i, change in enumerate(self.pending) if change[0] == TRUNCATE]
        happened = rng.choice([0, *cuts])
        images, data = [], bytearray(self.durable)
        for i in range(len(self.pending) + 1):
            kind, at, new = self.pending[i - 1] if i > 0 else (None, 0, b"")
            if kind == WRITE:
                write_to(data, at, new)
            elif kind == TRUNCATE and i <= happened:
                resize(data, at)
                for image in images:
                    resize(image, at)
            images.append(bytearray(data))
        sector, size = rng.choice(SECTORS), len(rng.choice(images))
        data = bytearray()
        for at in range(0, size, sector):
            part = rng.choice(images)[at:at + sector]
            data += part + bytes(sector - len(part))
        return bytes(data[:size])

    def survivor(self, rng):
        images = self.images()
        how = rng.choice(("lost", "kept", "torn", "scattered", "scattered"))
        if len(images) == 1 or how == "lost":
            return images[0]
        if how == "kept":
            return images[-1]
        return self.torn(images, rng) if how == "torn" else self.scattered(rng)


class Directory:
    """Names and what they stand for. A pending change is a dict of names, None for one that goes; it is all or nothing."""

    def __init__(self, names=()):
        self.durable, self.pending = dict(names), []

    @staticmethod
    def apply(names, change):
        for name, node in change.items():
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def names(self, changes):
        names = dict(self.durable)
        for change in changes:
            self.apply(names, change)
        return names

    def now(self):
        return self.names(self.pending)

    def sync(self):
        self.durable, self.pending = self.now(), []

    def survivor(self, rng):
        how = rng.choice(("lost", "kept", "first", "some"))
        if how == "first":
            return self.names(self.pending[:rng.randint(0, len(self.pending))])
        if how == "some":
            return self.names([change for change in self.pending if rng.random() < 0.5])
        return self.names(self.pending if how == "kept" else ())


class Disk:
    def __init__(self, root, journal):
        self.root, self.journal = os.path.realpath(root), journal
        self.load()

    def load(self):
        """What is there now, all of it durable."""
        self.inodes, self.offset = {}, os.path.getsize(self.journal)
        self.top = self.read(self.root)

    def read(self, path):
        st = os.lstat(path)
        if st.st_ino in self.inodes:
            return self.inodes[st.st_ino]
        if os.path.isdir(path):
            node = Directory((name, self.read(os.path.join(path, name))) for name in sorted(os.listdir(path)))
        else:
            with open(path, "rb") as f:
                node = File(f.read())
        self.inodes[st.st_ino] = node
        return node

    # --- following ---

    def follow(self):
        """Everything that came to the journal since."""
        with open(self.journal, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        at = 0
        while at < len(data):
            change, n, m, _, inode, where = RECORD.unpack_from(data, at)
            at += RECORD.size
            self.change(change, inode, where, data[at:at + n], data[at + n:at + n + m])
            at += n + m
        self.offset += at

    def change(self, change, inode, at, first, second):
        if change in (WRITE, TRUNCATE, SYNC):
            node = self.inodes.get(inode)
            if node and change == SYNC:
                node.sync()
            elif node:
                node.pending.append((change, at, first))
            return
        here, name = self.place(first)
        if change in (CREATE, MKDIR):
            if here and name not in here.now():
                self.inodes[inode] = node = File() if change == CREATE else Directory()
                here.pending.append({name: node})
        elif change == UNLINK:
            if here:
                here.pending.append({name: None})
        else:
            self.move(here, name, *self.place(second), keep=change == LINK)

    def move(self, here, name, there, new_name, keep):
        """What comes from elsewhere is not followed: the programs that are proved make their files where they belong."""
        node = here.now().get(name) if here else None
        if here is there and here and not keep:
            here.pending.append({name: None, new_name: node} if name != new_name else {})
            return
        if there and node:
            there.pending.append({new_name: node})
        if here and not keep:
            here.pending.append({name: None})

    def place(self, path):
        """(directory, name) of a path below the root, else (None, None)."""
        path = os.path.normpath(os.fsdecode(path))
        if not path.startswith(self.root + os.sep):
            return None, None
        *parents, name = os.path.relpath(path, self.root).split(os.sep)
        here = self.top
        for parent in parents:
            here = here.now().get(parent)
            if not isinstance(here, Directory):
                return None, None
        return here, name

    # --- looking ---

    def pending(self):
        """How much is not durable: changes of data, changes of names."""
        files, names, seen, left = 0, 0, set(), [self.top]
        while left:
            node = left.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, File):
                files += len(node.pending)
            else:
                names += len(node.pending)
                left.extend(node.now().values())
                left.extend(node.durable.values())
        return files, names

    def compare(self):
        """Paths where the model's present is not what is really there."""
        return sorted(self.differences(self.top, self.root))

    def differences(self, node, path):
        if isinstance(node, File):
            with open(path, "rb") as f:
                return [] if f.read() == node.now() else [path]
        names, really = node.now(), set(os.listdir(path)) if os.path.isdir(path) else set()
        found = [os.path.join(path, name) for name in names.keys() ^ really]
        for name in names.keys() & really:
            found += self.differences(names[name], os.path.join(path, name))
        return found

    # --- the cut ---

    def power_cut(self, rng, to=None):
        """Makes the directory what may be left of it, from then on the durable state; with `to`, makes a directory of that
        name instead, and nothing changes here."""
        target = to or self.root
        shutil.rmtree(target, ignore_errors=True)
        self.write(self.top, target, rng, {})
        if not to:
            self.load()

    def write(self, node, path, rng, written):
        """`written`: where a file stands already under another name."""
        if isinstance(node, Directory):
            os.mkdir(path, 0o700)
            for name, child in sorted(node.survivor(rng).items()):
                self.write(child, os.path.join(path, name), rng, written)
        elif id(node) in written:
            os.link(written[id(node)], path)
        else:
            with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(node.survivor(rng))
            written[id(node)] = path
