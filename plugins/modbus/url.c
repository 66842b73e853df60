/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXPECTED                                                                                                       \
    "expected tcp://HOST[:PORT], rtu+tcp://HOST[:PORT] or rtu:/dev/NAME[?baud=9600&parity=none&stop=1], such as "      \
    "tcp://192.168.1.20:502 or tcp://[fe80::1%eth0]"

static int fail(char *error, size_t size, const char *what)
{
    (void)snprintf(error, size, "%s; %s", what, EXPECTED);
    return -EINVAL;
}

static bool host_valid(const char *host, bool bracketed)
{
    unsigned char address[sizeof(struct in6_addr)];
    char plain[HOST_MAX];

    if (*host == '\0')
        return false;
    if (!bracketed)
        return strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == strlen(host);
    (void)snprintf(plain, sizeof plain, "%s", host);
    plain[strcspn(plain, "%")] = '\0'; /* the zone is an interface of this machine */
    return inet_pton(AF_INET6, plain, address) == 1;
}

static int parse_port(const char *text, struct modbus_url *ret)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long port;

    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return -EINVAL;
    port = strtoul(text, NULL, 10);
    if (port == 0 || port > 65535)
        return -EINVAL;
    (void)snprintf(ret->port, sizeof ret->port, "%lu", port);
    return 0;
}

static int parse_host(const char *host, struct modbus_url *url, char *error, size_t error_size)
{
    bool bracketed = *host == '[';
    size_t n = bracketed ? strcspn(++host, "]") : strcspn(host, ":");
    const char *rest = host + n;

    if (bracketed && *rest++ != ']')
        return fail(error, error_size, "the bracket of the IPv6 address is not closed");
    if (n >= sizeof url->host)
        return fail(error, error_size, "the host name is too long");
    for (size_t i = 0; i < n; i++)
        url->host[i] = (char)tolower((unsigned char)host[i]);
    if (!host_valid(url->host, bracketed))
        return fail(error, error_size, "no valid host name or address");
    (void)snprintf(url->port, sizeof url->port, MODBUS_TCP_PORT);
    if (*rest == ':' && parse_port(rest + 1, url) < 0)
        return fail(error, error_size, "the port is not a number from 1 to 65535");
    if (*rest != ':' && *rest != '\0')
        return fail(error, error_size, "nothing may follow the host but a port");
    return 0;
}

/* --- serial lines --- */

static const unsigned bauds[] = {300,   600,   1200,   1800,   2400,   4800,   9600,   19200,
                                 38400, 57600, 115200, 230400, 460800, 500000, 921600, 1000000};

const char *serial_parity_name(enum serial_parity parity)
{
    switch (parity) {
    case PARITY_NONE:
        return "none";
    case PARITY_EVEN:
        return "even";
    case PARITY_ODD:
        return "odd";
    case PARITY_MARK:
        return "mark";
    case PARITY_SPACE:
        return "space";
    }
    return "?";
}

static bool parse_baud(const char *value, struct modbus_url *url)
{
    for (size_t i = 0; i < sizeof bauds / sizeof bauds[0]; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", bauds[i]);
        if (strcmp(text, value) == 0) {
            url->baud = bauds[i];
            return true;
        }
    }
    return false;
}

/* By its name or its first letter, as on a device's label: 8N1, E. */
static bool parse_parity(const char *value, struct modbus_url *url)
{
    for (enum serial_parity p = PARITY_NONE; p <= PARITY_SPACE; p++) {
        const char *name = serial_parity_name(p);
        if (strcasecmp(value, name) == 0 ||
            (value[0] != '\0' && value[1] == '\0' && tolower((unsigned char)value[0]) == name[0])) {
            url->parity = p;
            return true;
        }
    }
    return false;
}

static int parse_setting(const char *key, const char *value, struct modbus_url *url, char *error, size_t size)
{
    if (strcmp(key, "baud") == 0) {
        if (parse_baud(value, url))
            return 0;
        (void)snprintf(error, size,
                       "baud=%s: expected 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, "
                       "460800, 500000, 921600 or 1000000",
                       value);
    } else if (strcmp(key, "parity") == 0) {
        if (parse_parity(value, url))
            return 0;
        (void)snprintf(error, size, "parity=%s: expected none, even, odd, mark or space", value);
    } else if (strcmp(key, "stop") == 0) {
        if (strcmp(value, "1") == 0 || strcmp(value, "2") == 0) {
            url->stop = (unsigned)(value[0] - '0');
            return 0;
        }
        (void)snprintf(error, size, "stop=%s: expected 1 or 2", value);
    } else if (strcmp(key, "data") == 0) {
        if (strcmp(value, "8") == 0)
            return 0;
        (void)snprintf(error, size, "data=%s: expected 8; RTU has bytes of eight bits", value);
    } else {
        (void)snprintf(error, size, "unknown setting \"%s\"; expected baud, parity, stop or data", key);
    }
    return -EINVAL;
}

static int parse_query(const char *query, struct modbus_url *url, char *error, size_t error_size)
{
    char copy[128], *rest = copy, *item;
    const char *seen[4] = {0};
    size_t n_seen = 0;

    if ((size_t)snprintf(copy, sizeof copy, "%s", query) >= sizeof copy)
        return fail(error, error_size, "what follows the '?' is too long");
    while ((item = strsep(&rest, "&"))) {
        char *value = strchr(item, '=');
        if (!value)
            return fail(error, error_size, "what follows the '?' is not KEY=VALUE&KEY=VALUE");
        *value++ = '\0';
        for (size_t i = 0; i < n_seen; i++)
            if (strcmp(seen[i], item) == 0)
                return fail(error, error_size, "a setting stands there twice");
        if (parse_setting(item, value, url, error, error_size) < 0)
            return -EINVAL;
        if (n_seen < sizeof seen / sizeof seen[0])
            seen[n_seen++] = item;
    }
    return 0;
}

static int parse_serial(const char *path, struct modbus_url *url, char *error, size_t error_size)
{
    size_t n = strcspn(path, "?");

    url->transport = TRANSPORT_RTU;
    if (strncmp(path, "///", 3) == 0) {
        path += 2;
        n -= 2;
    }
    if (n < 2 || path[0] != '/' || path[1] == '/')
        return fail(error, error_size, "no path of a serial device");
    if (n >= sizeof url->host)
        return fail(error, error_size, "the path is too long");
    memcpy(url->host, path, n);
    url->host[n] = '\0';
    return path[n] == '?' ? parse_query(path + n + 1, url, error, error_size) : 0;
}

int modbus_url_parse(const char *text, struct modbus_url *ret, char *error, size_t error_size)
{
    struct modbus_url url = {.transport = TRANSPORT_TCP, .baud = BAUD_DEFAULT, .parity = PARITY_NONE, .stop = 1};
    int r;

    if (strncasecmp(text, "rtu+tcp://", 10) == 0) {
        url.transport = TRANSPORT_RTU_TCP;
        r = parse_host(text + 10, &url, error, error_size);
    } else if (strncasecmp(text, "tcp://", 6) == 0) {
        r = parse_host(text + 6, &url, error, error_size);
    } else if (strncasecmp(text, "rtu:", 4) == 0) {
        r = parse_serial(text + 4, &url, error, error_size);
    } else {
        r = fail(error, error_size, "not a Modbus url");
    }
    if (r == 0)
        *ret = url;
    return r;
}

void modbus_url_bus(const struct modbus_url *url, char *bus, size_t size)
{
    bool bracketed = strchr(url->host, ':') != NULL;

    if (url->transport == TRANSPORT_RTU)
        (void)snprintf(bus, size, "rtu:%s", url->host);
    else
        (void)snprintf(bus, size, "%s://%s%s%s:%s", url->transport == TRANSPORT_TCP ? "tcp" : "rtu+tcp",
                       bracketed ? "[" : "", url->host, bracketed ? "]" : "", url->port);
}

void modbus_url_mode(const struct modbus_url *url, char *text, size_t size)
{
    (void)snprintf(text, size, "%u baud, parity %s, %u stop bit%s", url->baud, serial_parity_name(url->parity),
                   url->stop, url->stop == 1 ? "" : "s");
}

static unsigned character_bits(const struct modbus_url *url)
{
    return 1 + 8 + (url->parity != PARITY_NONE) + url->stop;
}

uint64_t modbus_url_time(const struct modbus_url *url, size_t n)
{
    return (n * character_bits(url) * SEC + url->baud - 1) / url->baud;
}

uint64_t modbus_url_gap(const struct modbus_url *url)
{
    uint64_t gap = url->baud > 19200 ? 1750 : modbus_url_time(url, 7) / 2;

    return gap > GAP_MIN ? gap : GAP_MIN;
}
