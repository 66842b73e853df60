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

#define EXPECTED "expected tcp://HOST[:PORT], such as tcp://192.168.1.20:502 or tcp://[fe80::1%eth0]"

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

int modbus_url_parse(const char *text, struct modbus_url *ret, char *error, size_t error_size)
{
    struct modbus_url url = {.transport = TRANSPORT_TCP, .port = MODBUS_TCP_PORT};

    if (strncasecmp(text, "rtu", 3) == 0)
        return fail(error, error_size, "serial lines (rtu:, rtu+tcp://) are not supported, only Modbus TCP is");
    if (strncasecmp(text, "tcp://", 6) != 0)
        return fail(error, error_size, "not a Modbus url");

    const char *host = text + 6;
    bool bracketed = *host == '[';
    size_t n = bracketed ? strcspn(++host, "]") : strcspn(host, ":");
    const char *rest = host + n;
    if (bracketed && *rest++ != ']')
        return fail(error, error_size, "the bracket of the IPv6 address is not closed");
    if (n >= sizeof url.host)
        return fail(error, error_size, "the host name is too long");
    for (size_t i = 0; i < n; i++)
        url.host[i] = (char)tolower((unsigned char)host[i]);
    if (!host_valid(url.host, bracketed))
        return fail(error, error_size, "no valid host name or address");
    if (*rest == ':' && parse_port(rest + 1, &url) < 0)
        return fail(error, error_size, "the port is not a number from 1 to 65535");
    if (*rest != ':' && *rest != '\0')
        return fail(error, error_size, "nothing may follow the host but a port");
    *ret = url;
    return 0;
}

void modbus_url_bus(const struct modbus_url *url, char *bus, size_t size)
{
    bool bracketed = strchr(url->host, ':') != NULL;

    (void)snprintf(bus, size, "tcp://%s%s%s:%s", bracketed ? "[" : "", url->host, bracketed ? "]" : "", url->port);
}
