/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A Modbus server for the demo and the tests, on libmodbus; not installed. Over TCP units 1 to --devices, several
 * clients at once; with --rtu on a serial line of 19200 baud, even parity, unit 1 (libmodbus answers for one). SIGTERM
 * or SIGINT ends it with status 0. The first line on standard output is the port, 0 for a serial line.
 *
 * Every unit U has
 *   input 0, 1       flow and return temperature, int16, 0.1 Cel, changing every --interval
 *   input 2          a counter, uint16: one more at each read of it; the first read gives 1
 *   input 3          0x8000, "no value"
 *   input 4          relative humidity, uint16, 0.1 %, changing
 *   input 50         answers exception 2 to whoever reads it, its neighbours do not
 *   input 100..107   int32 -123456789 as ABCD, DCBA, BADC, CDAB
 *   input 110..117   float32 21.3 in the same four orders
 *   input 120..139   int64 -1234567890123456789 as ABCDEFGH, HGFEDCBA, BADCFEHG, GHEFCDAB, EFGHABCD
 *   input 140..143   float64 -273.15 as ABCDEFGH
 *   input 144        float16 0.5
 *   input 150..157   the text "gatehouse U"
 *   holding 0..99    writable; 10 is a set-point, int16, 0.1 Cel, at first 20.0; 50 as input 50
 *   coil 0..15       writable, at first off
 *   discrete 0..15   those with an odd address are on
 * All else answers exception 2. Units 0 and 255 are unit 1; a unit that is not there answers exception 11.
 *
 * The log has one line a value, written once the answer was sent:
 *   TIME read|write UNIT coil|discrete|input|holding ADDRESS VALUE
 * TIME is CLOCK_REALTIME in microseconds, VALUE the raw register. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define UNITS_MAX 247
#define BITS 16
#define HOLDINGS 100
#define INPUTS 160
#define COUNTER 2
#define REFUSED 50
#define SETPOINT 10
#define LINE_MAX_SIZE 64

struct options {
    const char *address;
    const char *rtu; /* the serial device; NULL: TCP */
    int port;
    int devices;
    const char *log;
    int interval_ms;
    int slow_ms;
    int exception_unit;
    int silent_unit;
    int drop_after;
};

struct client {
    modbus_t *line;
    int answers;
};

static struct options options = {.address = "127.0.0.1", .devices = 1, .interval_ms = 1000};
static modbus_mapping_t *units[UNITS_MAX + 1];
static struct client clients[CLIENTS_MAX];
static int log_fd = -1;
static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static uint64_t clock_usec(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- what the units hold --- */

/* The n bytes of `raw` in the order that the letters name, 'A' the most significant. */
static void put(uint16_t *registers, uint64_t raw, const char *order)
{
    size_t n = strlen(order);

    for (size_t i = 0; i < n; i += 2) {
        unsigned high = (raw >> (8 * (n - 1 - (size_t)(order[i] - 'A')))) & 0xff;
        unsigned low = (raw >> (8 * (n - 1 - (size_t)(order[i + 1] - 'A')))) & 0xff;
        registers[i / 2] = (uint16_t)(high << 8 | low);
    }
}

static void fill_orders(uint16_t *inputs)
{
    static const char *const orders32[] = {"ABCD", "DCBA", "BADC", "CDAB"};
    static const char *const orders64[] = {"ABCDEFGH", "HGFEDCBA", "BADCFEHG", "GHEFCDAB", "EFGHABCD"};
    float f = 21.3f;
    double d = -273.15;
    uint32_t f_bits;
    uint64_t d_bits;

    memcpy(&f_bits, &f, sizeof f_bits);
    memcpy(&d_bits, &d, sizeof d_bits);
    for (size_t i = 0; i < 4; i++) {
        put(inputs + 100 + 2 * i, (uint32_t)-123456789, orders32[i]);
        put(inputs + 110 + 2 * i, f_bits, orders32[i]);
    }
    for (size_t i = 0; i < 5; i++)
        put(inputs + 120 + 4 * i, (uint64_t)INT64_C(-1234567890123456789), orders64[i]);
    put(inputs + 140, d_bits, "ABCDEFGH");
    inputs[144] = 0x3800;
}

static bool make_unit(int unit)
{
    modbus_mapping_t *m = modbus_mapping_new(BITS, BITS, HOLDINGS, INPUTS);
    char text[17] = "";

    if (!m)
        return false;
    fill_orders(m->tab_input_registers);
    m->tab_input_registers[3] = 0x8000;
    (void)snprintf(text, sizeof text, "gatehouse %d", unit);
    for (int i = 0; i < 8; i++)
        m->tab_input_registers[150 + i] = (uint16_t)((unsigned char)text[2 * i] << 8 | (unsigned char)text[2 * i + 1]);
    m->tab_registers[SETPOINT] = 200;
    for (int i = 1; i < BITS; i += 2)
        m->tab_input_bits[i] = 1;
    units[unit] = m;
    return true;
}

/* Temperatures wander with the time, each unit out of step with the others. */
static void update_unit(int unit)
{
    uint16_t *inputs = units[unit]->tab_input_registers;
    double step = (double)(clock_usec(CLOCK_MONOTONIC) / 1000 / (uint64_t)options.interval_ms);
    double phase = step / 20 + unit;

    inputs[0] = (uint16_t)(int16_t)lround(550 + 80 * sin(phase));
    inputs[1] = (uint16_t)(int16_t)lround(400 + 60 * sin(phase - 0.5));
    inputs[4] = (uint16_t)lround(450 + 100 * cos(phase));
}

/* --- the log --- */

static void log_values(const char *verb, int unit, const char *table, int address, int count, const uint8_t *bits,
                       const uint16_t *registers)
{
    static char text[MODBUS_MAX_READ_BITS * LINE_MAX_SIZE];
    uint64_t now = clock_usec(CLOCK_REALTIME);
    size_t n = 0;

    for (int i = address; log_fd >= 0 && i < address + count && n + LINE_MAX_SIZE < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%llu %s %d %s %d %u\n", (unsigned long long)now, verb, unit,
                              table, i, bits ? bits[i] : registers[i]);
    for (size_t written = 0; written < n;) {
        ssize_t r = write(log_fd, text + written, n - written);
        if (r < 0) {
            perror("modbus-server: log");
            break;
        }
        written += (size_t)r;
    }
}

static void log_request(int unit, int function, int address, int count)
{
    const modbus_mapping_t *m = units[unit];

    switch (function) {
    case MODBUS_FC_READ_COILS:
        log_values("read", unit, "coil", address, count, m->tab_bits, NULL);
        break;
    case MODBUS_FC_READ_DISCRETE_INPUTS:
        log_values("read", unit, "discrete", address, count, m->tab_input_bits, NULL);
        break;
    case MODBUS_FC_READ_HOLDING_REGISTERS:
        log_values("read", unit, "holding", address, count, NULL, m->tab_registers);
        break;
    case MODBUS_FC_READ_INPUT_REGISTERS:
        log_values("read", unit, "input", address, count, NULL, m->tab_input_registers);
        break;
    case MODBUS_FC_WRITE_SINGLE_COIL:
    case MODBUS_FC_WRITE_MULTIPLE_COILS:
        log_values("write", unit, "coil", address, count, m->tab_bits, NULL);
        break;
    case MODBUS_FC_WRITE_SINGLE_REGISTER:
    case MODBUS_FC_WRITE_MULTIPLE_REGISTERS:
        log_values("write", unit, "holding", address, count, NULL, m->tab_registers);
        break;
    default:
        break;
    }
}

/* --- answering --- */

static bool covers(int address, int count, int wanted)
{
    return address <= wanted && wanted < address + count;
}

static bool answer(struct client *c, const uint8_t *request, int size)
{
    const uint8_t *pdu = request + modbus_get_header_length(c->line);
    int pdu_size = size - modbus_get_header_length(c->line), asked = pdu[-1];
    int exception_size = modbus_get_header_length(c->line) + 2 + (options.rtu ? 2 : 0);
    int unit = asked == 0 || asked == 255 ? 1 : asked;
    int function = pdu[0];
    int address = pdu_size > 2 ? pdu[1] << 8 | pdu[2] : 0;
    bool single = function == MODBUS_FC_WRITE_SINGLE_COIL || function == MODBUS_FC_WRITE_SINGLE_REGISTER;
    int count = single ? 1 : pdu_size > 4 ? pdu[3] << 8 | pdu[4] : 0;
    bool input = function == MODBUS_FC_READ_INPUT_REGISTERS, holding = function == MODBUS_FC_READ_HOLDING_REGISTERS;

    if (options.slow_ms > 0)
        (void)usleep((useconds_t)options.slow_ms * 1000);
    if (unit == options.silent_unit)
        return true;
    if (unit > options.devices)
        return modbus_reply_exception(c->line, request, MODBUS_EXCEPTION_GATEWAY_TARGET) >= 0;
    if (unit == options.exception_unit)
        return modbus_reply_exception(c->line, request, MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE) >= 0;
    if ((input || holding) && covers(address, count, REFUSED))
        return modbus_reply_exception(c->line, request, MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS) >= 0;
    update_unit(unit);
    bool within = count <= MODBUS_MAX_READ_REGISTERS && address + count <= INPUTS;
    if (input && within && covers(address, count, COUNTER))
        units[unit]->tab_input_registers[COUNTER]++;
    /* An exception is shorter than any answer with values, and only then has nothing been read or written. */
    int sent = modbus_reply(c->line, request, size, units[unit]);
    if (sent > exception_size)
        log_request(unit, function, address, count);
    return sent >= 0;
}

static void drop(struct client *c)
{
    modbus_close(c->line);
    modbus_free(c->line);
    *c = (struct client){0};
}

static void serve(struct client *c)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    int n = modbus_receive(c->line, request);

    if (n == 0)
        return;
    if (n < 8 || !answer(c, request, n) || (options.drop_after > 0 && ++c->answers >= options.drop_after))
        drop(c);
}

static void take(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    struct client *c = NULL;

    if (fd < 0)
        return;
    for (int i = 0; i < CLIENTS_MAX && !c; i++)
        if (!clients[i].line)
            c = &clients[i];
    if (!c || !(c->line = modbus_new_tcp("127.0.0.1", MODBUS_TCP_DEFAULT_PORT))) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)modbus_set_socket(c->line, fd);
    (void)modbus_set_indication_timeout(c->line, 0, 500000); /* for a request that stops in its middle */
}

static void serve_all(int listener, const sigset_t *unblocked)
{
    while (!stopping) {
        struct pollfd fds[CLIENTS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
        for (int i = 0; i < CLIENTS_MAX; i++)
            fds[i + 1] =
                (struct pollfd){.fd = clients[i].line ? modbus_get_socket(clients[i].line) : -1, .events = POLLIN};
        if (ppoll(fds, CLIENTS_MAX + 1, NULL, unblocked) < 0)
            continue;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (fds[i + 1].revents)
                serve(&clients[i]);
        if (fds[0].revents)
            take(listener);
    }
}

/* --- a serial line --- */

static int serve_line(const char *path, const sigset_t *unblocked)
{
    struct client c = {.line = modbus_new_rtu(path, 19200, 'E', 8, 1)};
    uint8_t request[MODBUS_RTU_MAX_ADU_LENGTH];

    if (!c.line || modbus_set_slave(c.line, 1) < 0 || modbus_connect(c.line) < 0) {
        fprintf(stderr, "modbus-server: %s: %s\n", path, modbus_strerror(errno));
        modbus_free(c.line);
        return 1;
    }
    puts("0");
    fflush(stdout);
    while (!stopping) {
        struct pollfd p = {.fd = modbus_get_socket(c.line), .events = POLLIN};
        if (ppoll(&p, 1, NULL, unblocked) <= 0)
            continue;
        int n = modbus_receive(c.line, request);
        if (n > 0 && !answer(&c, request, n))
            break;
    }
    drop(&c);
    return 0;
}

/* --- starting --- */

static int listen_on(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(fd, CLIENTS_MAX) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0) {
        perror("modbus-server: listen");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    printf("%u\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static int usage(FILE *out, int status)
{
    fputs(
        "usage: modbus-server [--address A] [--port N | --rtu DEVICE] [--devices N] [--log FILE] [--interval MS]\n"
        "                     [--slow MS] [--exception-unit U] [--silent-unit U] [--drop-after ANSWERS]\n"
        "Port 0 (the default) takes a free one; the port is printed. The interval is how often temperatures change.\n",
        out);
    return status;
}

static bool number(const char *text, int min, int max, int *ret)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "modbus-server: expected a number from %d to %d, not \"%s\"\n", min, max, text);
        return false;
    }
    *ret = (int)n;
    return true;
}

static int parse_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"address", required_argument, NULL, 'a'},
        {"port", required_argument, NULL, 'p'},
        {"rtu", required_argument, NULL, 'r'},
        {"devices", required_argument, NULL, 'n'},
        {"log", required_argument, NULL, 'l'},
        {"interval", required_argument, NULL, 'i'},
        {"slow", required_argument, NULL, 's'},
        {"silent-unit", required_argument, NULL, 'q'},
        {"drop-after", required_argument, NULL, 'd'},
        {"exception-unit", required_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool good = true;
    int o;

    while (good && (o = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (o) {
        case 'a':
            options.address = optarg;
            break;
        case 'l':
            options.log = optarg;
            break;
        case 'r':
            options.rtu = optarg;
            break;
        case 'p':
            good = number(optarg, 0, 65535, &options.port);
            break;
        case 'n':
            good = number(optarg, 1, UNITS_MAX, &options.devices);
            break;
        case 'i':
            good = number(optarg, 1, 3600000, &options.interval_ms);
            break;
        case 's':
            good = number(optarg, 0, 60000, &options.slow_ms);
            break;
        case 'q':
            good = number(optarg, 1, UNITS_MAX, &options.silent_unit);
            break;
        case 'd':
            good = number(optarg, 1, 1000000, &options.drop_after);
            break;
        case 'e':
            good = number(optarg, 1, UNITS_MAX, &options.exception_unit);
            break;
        case 'h':
            exit(usage(stdout, 0));
        default:
            good = false;
            break;
        }
    }
    return good && optind == argc ? 0 : usage(stderr, 2);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    sigset_t blocked, unblocked;
    int r = parse_options(argc, argv);

    if (r != 0)
        return r;
    if (options.log) {
        log_fd = open(options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (log_fd < 0) {
            perror(options.log);
            return 1;
        }
    }
    for (int unit = 1; unit <= options.devices; unit++)
        if (!make_unit(unit))
            return 1;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &blocked, &unblocked);
    (void)sigdelset(&unblocked, SIGTERM);
    (void)sigdelset(&unblocked, SIGINT);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    if (options.rtu)
        return serve_line(options.rtu, &unblocked);
    int listener = listen_on(options.address, options.port);
    if (listener < 0)
        return 1;
    serve_all(listener, &unblocked);
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (clients[i].line)
            drop(&clients[i]);
    for (int unit = 1; unit <= options.devices; unit++)
        modbus_mapping_free(units[unit]);
    close(listener);
    return 0;
}
