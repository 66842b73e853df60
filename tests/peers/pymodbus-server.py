#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Modbus server on pymodbus (3.0 to 3.8): a peer that shares no code with anything of ours.

usage: pymodbus-server.py [--port N] [--rtu [DEVICE]] [--devices N] [--log FILE]

Over TCP; with --rtu and a serial device on that line (19200 baud), with --rtu alone RTU frames inside TCP.

Units 1 to N. Input 2 is a counter, one more at each read of it, the first read gives 1; inputs 0, 1, 4 are fixed
temperatures and a humidity; holding 0..99 are writable, 10 is at first 200; coils 0..15 are writable. The first line on
standard output is the port, printed once the server accepts. The log has the lines of modbus-server:
TIME read|write UNIT coil|discrete|input|holding ADDRESS VALUE
"""
import argparse
import asyncio
import os
import signal
import socket
import sys
import time

from pymodbus.datastore import ModbusServerContext
from pymodbus.server import StartAsyncSerialServer, StartAsyncTcpServer

COUNTER = 2
TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil", 16: "holding"}
READS = (1, 2, 3, 4)


class Unit:
    """What pymodbus calls a slave context, by its methods: they stayed the same while the base classes did not."""

    def __init__(self, number, log):
        self.number = number
        self.log = log
        self.store = {"coil": [False] * 16, "discrete": [i % 2 == 1 for i in range(16)],
                      "input": [550, 400, 0, 0x8000, 450], "holding": [0] * 100}
        self.store["holding"][10] = 200

    def reset(self):
        pass

    def validate(self, function, address, count=1):
        table = TABLES.get(function)
        return table is not None and count > 0 and address + count <= len(self.store[table])

    def getValues(self, function, address, count=1):
        table = TABLES[function]
        values = self.store[table]
        # Answers to writes are made from what getValues says: those are not reads.
        if function in READS:
            if table == "input" and address <= COUNTER < address + count:
                values[COUNTER] = (values[COUNTER] + 1) & 0xFFFF
            self.record("read", table, address, values[address:address + count])
        return values[address:address + count]

    def setValues(self, function, address, values):
        table = TABLES[function]
        self.store[table][address:address + len(values)] = values
        self.record("write", table, address, values)

    async def async_getValues(self, function, address, count=1):
        return self.getValues(function, address, count)

    async def async_setValues(self, function, address, values):
        return self.setValues(function, address, values)

    def record(self, verb, table, address, values):
        now = time.time_ns() // 1000
        lines = [f"{now} {verb} {self.number} {table} {address + i} {int(v)}\n" for i, v in enumerate(values)]
        if self.log is not None:
            os.write(self.log, "".join(lines).encode())


def rtu_framer():
    try:
        from pymodbus.framer import FramerType
        return FramerType.RTU
    except ImportError:
        from pymodbus.transaction import ModbusRtuFramer
        return ModbusRtuFramer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def announce(port):
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        print(port, flush=True)
        return


async def serve(options):
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if options.log else None
    port = options.port or free_port()
    units = {number: Unit(number, log) for number in range(1, options.devices + 1)}
    for end in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(end, os._exit, 0)
    context = ModbusServerContext(slaves=units, single=False)
    if options.rtu:
        print(0, flush=True)
        await StartAsyncSerialServer(context=context, framer=rtu_framer(), port=options.rtu, baudrate=19200, timeout=0.1)
        return
    announcing = asyncio.ensure_future(announce(port))
    framer = {} if options.rtu is None else {"framer": rtu_framer()}
    await StartAsyncTcpServer(context=context, address=("127.0.0.1", port), **framer)
    announcing.cancel()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rtu", nargs="?", const="")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--log")
    asyncio.run(serve(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
