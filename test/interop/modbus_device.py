"""A Modbus RTU device made of pymodbus, at the end of a pseudo-terminal whose other end is standard input and output."""
import os
import sys
import threading
import tty

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer
from pymodbus.transaction import ModbusRtuFramer

master, slave = os.openpty()
tty.setraw(slave)


def copy(source, target):
    while chunk := os.read(source, 4096):
        os.write(target, chunk)
    os._exit(0)


for ends in ((0, master), (master, 1)):
    threading.Thread(target=copy, args=ends, daemon=True).start()

# Register n holds 1000 + n; of the bits, every third is on. Nothing is behind 199.
unit = ModbusSlaveContext(
    hr=ModbusSequentialDataBlock(0, [1000 + n for n in range(200)]),
    ir=ModbusSequentialDataBlock(0, [0x4366, 0x6666, 0xFFFE, 7]),
    co=ModbusSequentialDataBlock(0, [n % 3 == 0 for n in range(200)]),
    di=ModbusSequentialDataBlock(0, [n % 3 == 0 for n in range(200)]),
    zero_mode=True,
)
print("ready", file=sys.stderr, flush=True)
StartSerialServer(
    context=ModbusServerContext(slaves={17: unit}, single=False),
    framer=ModbusRtuFramer,
    port=os.ttyname(slave),
    baudrate=115200,
)
