/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The least that reading a Modbus server takes: libmodbus in a loop on a grid of ticks, and nothing done with the
 * values.
 *
 * usage: modbus-loop PORT INTERVAL_US REGISTERS
 *
 * Reads until SIGTERM; then prints how many readings there were. */

#include <errno.h>
#include <modbus/modbus.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    uint16_t registers[MODBUS_MAX_READ_REGISTERS];
    unsigned long readings = 0;
    struct timespec t;

    if (argc != 4)
        return 2;
    long interval = strtol(argv[2], NULL, 10) * 1000;
    int count = (int)strtol(argv[3], NULL, 10);
    modbus_t *m = modbus_new_tcp("127.0.0.1", (int)strtol(argv[1], NULL, 10));
    if (!m || count < 1 || count > MODBUS_MAX_READ_REGISTERS || interval <= 0 || modbus_set_slave(m, 1) < 0 ||
        modbus_connect(m) < 0) {
        fprintf(stderr, "modbus-loop: %s\n", modbus_strerror(errno));
        return 1;
    }
    (void)sigaction(SIGTERM, &action, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    while (!stopping) {
        t.tv_nsec += interval;
        while (t.tv_nsec >= 1000000000) {
            t.tv_nsec -= 1000000000;
            t.tv_sec++;
        }
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
            continue;
        if (modbus_read_input_registers(m, 100, count, registers) != count) {
            fprintf(stderr, "modbus-loop: %s\n", modbus_strerror(errno));
            return 1;
        }
        readings++;
    }
    printf("%lu\n", readings);
    modbus_close(m);
    modbus_free(m);
    return 0;
}
