#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pymodbus server that holds what the first vector of a device's template says, under every unit number.

usage: pymodbus-memory.py TEMPLATE.json

The first line on standard output is the port. Between what is in the vector there are zeros; what lies beyond is refused by exception
2, as a device does.
"""
import asyncio
import importlib.util
import json
import os
import sys

from pymodbus.datastore import ModbusServerContext
from pymodbus.server import StartAsyncTcpServer

spec = importlib.util.spec_from_file_location("pymodbus_server", os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                                              "pymodbus-server.py"))
base = importlib.util.module_from_spec(spec)
spec.loader.exec_module(base)


class Memory(base.Unit):
    def __init__(self, vector):
        super().__init__(0, None)
        self.store = {table: {} for table in ("coil", "discrete", "input", "holding")}
        for part in vector["memory"]:
            values = part.get("registers", part.get("bits"))
            for i, value in enumerate(values):
                self.store[part["table"]][part["address"] + i] = int(value, 16) if isinstance(value, str) else int(value)

    def validate(self, function, address, count=1):
        store = self.store.get(base.TABLES.get(function), {})
        return count > 0 and bool(store) and min(store) <= address and address + count <= max(store) + 1

    def getValues(self, function, address, count=1):
        store = self.store[base.TABLES[function]]
        return [store.get(a, 0) for a in range(address, address + count)]


async def serve(path):
    with open(path, encoding="utf-8") as f:
        memory = Memory(json.load(f)["vectors"][0])
    port = base.free_port()
    asyncio.ensure_future(base.announce(port))
    await StartAsyncTcpServer(context=ModbusServerContext(slaves=memory, single=True), address=("127.0.0.1", port))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
