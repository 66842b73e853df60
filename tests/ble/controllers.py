# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's Bluetooth controllers by ioctl and HCI, as not every Python is built with Bluetooth and not every Debian has hciconfig."""
import ctypes
import errno
import fcntl
import socket
import struct

AF_BLUETOOTH, BTPROTO_HCI = 31, 1
HCI_DEV_UP, HCI_GET_DEV_INFO = 0x400448c9, 0x800448d3
DEV_INFO_SIZE = 92
LIBC = ctypes.CDLL(None, use_errno=True)


def open_hci(device=None):
    """A socket of this controller's, or of none."""
    s = socket.socket(AF_BLUETOOTH, socket.SOCK_RAW, BTPROTO_HCI)
    # struct sockaddr_hci
    if device is not None and LIBC.bind(s.fileno(), struct.pack("<HHH", AF_BLUETOOTH, device, 0), 6) != 0:
        s.close()
        raise OSError(ctypes.get_errno(), f"hci{device}")
    return s


def address(device):
    """Its address; None while it has none: it is not there, or the kernel has not got through with it."""
    with open_hci() as s:
        info = bytearray(DEV_INFO_SIZE)  # struct hci_dev_info: the number, a name of 8 bytes, the address
        struct.pack_into("<H", info, 0, device)
        try:
            fcntl.ioctl(s, HCI_GET_DEV_INFO, info)
        except OSError:
            return None
    found = bytes(info[10:16][::-1])
    return found.hex(":").upper() if any(found) else None


def up(device):
    """Whether it is up now."""
    with open_hci() as s:
        try:
            fcntl.ioctl(s, HCI_DEV_UP, device)
        except OSError as e:
            return e.errno == errno.EALREADY
    return True
