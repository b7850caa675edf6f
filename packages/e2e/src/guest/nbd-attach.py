"""Attaches an NBD export to /dev/nbd0 of this kernel, and connects anew when its server goes and comes back.

    nbd-attach.py HOST PORT EXPORT HOLD_SECONDS

nbd-client asks the kernel to fail what is under way when the connection goes; this asks it to hold it for HOLD_SECONDS
(NBD_ATTR_DEAD_CONN_TIMEOUT) and gives it the next connection (NBD_CMD_RECONFIGURE). Numbers: linux/nbd-netlink.h,
linux/genetlink.h, and doc/proto.md of NBD. Ends when the device was disconnected.
"""
import select
import socket
import struct
import sys
import time

GENL_CTRL, CTRL_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
NBD_CONNECT, NBD_RECONFIGURE = 1, 3
INDEX, SIZE, BLOCK_SIZE, TIMEOUT, SERVER_FLAGS, SOCKETS, DEAD_CONN_TIMEOUT = 1, 2, 3, 4, 5, 7, 8
SOCK_ITEM, SOCK_FD = 1, 1
NESTED = 1 << 15
NLM_REQUEST, NLM_ACK, NLM_ERROR = 1, 4, 2
BLOCK_BYTES = 4096
# After which what was under way on the connection before is sent again.
RESEND_SECONDS = 10
RETRY_SECONDS = 0.2


def receive(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("the server hung up")
        data += piece
    return data


def connect(host, port, export):
    """A connection in transmission, its size in bytes and its flags."""
    connection = socket.create_connection((host, port))
    magic, option_magic, _ = struct.unpack(">8sQH", receive(connection, 18))
    if magic != b"NBDMAGIC" or option_magic != 0x49484156454F5054:
        raise ConnectionError("no NBD server")
    name = export.encode()
    connection.sendall(struct.pack(">IQII", 3, option_magic, 1, len(name)) + name)
    size, flags = struct.unpack(">QH", receive(connection, 10))
    return connection, size, flags


def attribute(kind, value):
    length = 4 + len(value)
    return struct.pack("HH", length, kind) + value + b"\0" * (-length % 4)


def u32(kind, value):
    return attribute(kind, struct.pack("I", value))


def u64(kind, value):
    return attribute(kind, struct.pack("Q", value))


def call(netlink, family, command, attributes):
    """One generic netlink request; returns the body of the first answer, raises what the kernel refuses with."""
    body = struct.pack("BBH", command, 1, 0) + attributes
    netlink.send(struct.pack("IHHII", 16 + len(body), family, NLM_REQUEST | NLM_ACK, 1, 0) + body)
    answer = None
    while True:
        data = netlink.recv(1 << 16)
        while data:
            length, kind = struct.unpack_from("IH", data)
            if kind == NLM_ERROR:
                (error,) = struct.unpack_from("i", data, 16)
                if error:
                    raise OSError(-error, f"netlink command {command}")
                return answer
            answer = answer or data[20:length]
            data = data[(length + 3) & ~3 :]


def family_of_nbd(netlink):
    data = call(netlink, GENL_CTRL, CTRL_GETFAMILY, attribute(CTRL_ATTR_FAMILY_NAME, b"nbd\0"))
    while data:
        length, kind = struct.unpack_from("HH", data)
        if kind == CTRL_ATTR_FAMILY_ID:
            return struct.unpack_from("H", data, 4)[0]
        data = data[(length + 3) & ~3 :]
    raise OSError("the kernel has no nbd")


def sockets(connection):
    item = attribute(SOCK_ITEM | NESTED, u32(SOCK_FD, connection.fileno()))
    return attribute(SOCKETS | NESTED, item)


def is_attached():
    with open("/sys/block/nbd0/size", encoding="ascii") as size:
        return int(size.read()) > 0


def wait_until_gone(connection):
    """Looks only: what comes on the connection is the kernel's."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    while not poll.poll(500) and is_attached():
        pass


def main():
    host, port, export, hold = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    family = family_of_nbd(netlink)
    connection, size, flags = connect(host, port, export)
    settings = u32(INDEX, 0) + u64(DEAD_CONN_TIMEOUT, hold) + u64(TIMEOUT, RESEND_SECONDS)
    device = u64(SIZE, size) + u64(BLOCK_SIZE, BLOCK_BYTES) + u64(SERVER_FLAGS, flags)
    call(netlink, family, NBD_CONNECT, settings + device + sockets(connection))
    while True:
        wait_until_gone(connection)
        if not is_attached():
            return
        connection.close()
        while True:
            try:
                connection, _, _ = connect(host, port, export)
                break
            except OSError:
                time.sleep(RETRY_SECONDS)
        call(netlink, family, NBD_RECONFIGURE, settings + sockets(connection))


main()
