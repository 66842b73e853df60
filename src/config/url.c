/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/url.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#define COAPS_PORT 5684
#define MQTTS_PORT 8883
#define URL_RULE "expected coaps://HOST, mqtts://HOST, or either with :PORT"

static int scheme(const char *text, bool *ret_mqtt, const char **ret_rest, struct error *e)
{
    const char *end = strstr(text, "://");
    size_t n = end ? (size_t)(end - text) : 0;

    if (!end || n == 0)
        return error_set(e, -EINVAL, "\"%.100s\" is not the address of an uplink; " URL_RULE, text);
    *ret_mqtt = n == 5 && strncasecmp(text, "mqtts", n) == 0;
    if (*ret_mqtt || (n == 5 && strncasecmp(text, "coaps", n) == 0)) {
        *ret_rest = end + 3;
        return 0;
    }
    if ((n == 4 && strncasecmp(text, "coap", n) == 0) || (n == 4 && strncasecmp(text, "mqtt", n) == 0))
        return error_set(e, -EINVAL,
                         "%.*s:// is not encrypted, and nothing leaves this gateway in plain text; " URL_RULE, (int)n,
                         text);
    return error_set(e, -EINVAL, "\"%.*s://\" is not known; " URL_RULE, (int)MIN_OF(n, (size_t)32), text);
}

static int port(const char *text, uint16_t *ret, struct error *e)
{
    unsigned n = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9' && n <= UINT16_MAX; p++)
        n = n * 10 + (unsigned)(*p - '0');
    if (p == text || *p || n == 0 || n > UINT16_MAX)
        return error_set(e, -EINVAL, "\"%.32s\" is not a port; expected 1 to 65535", text);
    *ret = (uint16_t)n;
    return 0;
}

/* The inside of the brackets: an address, and maybe its zone ("%25eth0" as RFC 6874 writes it, or "%eth0"). */
static int ipv6(const char *text, size_t n, char *host, struct error *e)
{
    const char *percent = memchr(text, '%', n);
    size_t n_address = percent ? (size_t)(percent - text) : n;
    size_t skip = percent && strncmp(percent, "%25", 3) == 0 ? 3 : 1;
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (n_address >= sizeof(address) || n >= CONFIG_HOST_MAX)
        return error_set(e, -EINVAL, "\"[%.100s\" is not an IPv6 address", text);
    memcpy(address, text, n_address);
    address[n_address] = 0;
    if (inet_pton(AF_INET6, address, &parsed) != 1 || (percent && n_address + skip >= n))
        return error_set(e, -EINVAL, "\"[%.*s]\" is not an IPv6 address", (int)n, text);
    memcpy(host, address, n_address + 1);
    if (percent) {
        size_t n_zone = n - n_address - skip;

        host[n_address] = '%';
        memcpy(host + n_address + 1, percent + skip, n_zone);
        host[n_address + 1 + n_zone] = 0;
    }
    return 0;
}

static bool host_character(char b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '.' || b == '-' ||
           b == '_';
}

static int name(const char *text, size_t n, const char *rule, char *host, struct error *e)
{
    if (n == 0)
        return error_set(e, -EINVAL, "there is no host; %s", rule);
    if (n >= CONFIG_HOST_MAX)
        return error_set(e, -EINVAL, "the host has %zu characters; at most %d are possible", n, CONFIG_HOST_MAX - 1);
    for (size_t i = 0; i < n; i++)
        if (!host_character(text[i]))
            return error_set(e, -EINVAL, "\"%.*s\" is not a host name; expected letters, digits, '.' and '-'", (int)n,
                             text);
    memcpy(host, text, n);
    host[n] = 0;
    return 0;
}

/* HOST or HOST:PORT, an IPv6 address in brackets; without a port *ret_port stays. */
static int authority(const char *text, size_t n, const char *scheme, const char *rule, char *host, uint16_t *ret_port,
                     struct error *e)
{
    char copy[CONFIG_HOST_MAX + 16];
    const char *end;
    int r;

    if (n >= sizeof(copy))
        return error_set(e, -EINVAL, "the host has more than %d characters", CONFIG_HOST_MAX - 1);
    memcpy(copy, text, n);
    copy[n] = 0;
    if (copy[0] == '[') {
        end = strchr(copy, ']');
        if (!end)
            return error_set(e, -EINVAL, "the ']' behind the IPv6 address is missing");
        r = ipv6(copy + 1, (size_t)(end - copy - 1), host, e);
        end++;
    } else {
        end = strchrnul(copy, ':');
        if (strchr(end + (*end != 0), ':'))
            return error_set(e, -EINVAL, "an IPv6 address stands in brackets: %s://[%s]", scheme, copy);
        r = name(copy, (size_t)(end - copy), rule, host, e);
    }
    if (r >= 0 && *end && *end != ':')
        r = error_set(e, -EINVAL, "\"%.32s\" behind the address; expected ':' and a port", end);
    if (r >= 0 && *end)
        r = port(end + 1, ret_port, e);
    return r;
}

int config_url_parse(const char *text, struct config_url *ret, struct error *e)
{
    struct config_url url = {0};
    const char *rest = "";
    size_t n;
    int r;

    r = scheme(text, &url.mqtt, &rest, e);
    if (r < 0)
        return r;
    url.port = url.mqtt ? MQTTS_PORT : COAPS_PORT;
    n = strcspn(rest, "/?#");
    if (rest[n] && strcmp(rest + n, "/") != 0)
        return error_set(e, -EINVAL, "the path \"%.64s\" does not belong here but into the profile; " URL_RULE,
                         rest + n);
    if (memchr(rest, '@', n))
        return error_set(e, -EINVAL, "names and keys do not belong into an address but into the vault; " URL_RULE);
    r = authority(rest, n, url.mqtt ? "mqtts" : "coaps", URL_RULE, url.host, &url.port, e);
    if (r < 0)
        return r;
    *ret = url;
    return 0;
}

int config_https_check(const char *text, bool proxy, struct error *e)
{
    const char *rule = proxy ? "expected http://HOST:PORT or https://HOST:PORT"
                             : "expected https://HOST, with :PORT and /PATH if need be";
    bool tls = strncmp(text, "https://", 8) == 0;
    char host[CONFIG_HOST_MAX];
    const char *rest;
    uint16_t port;
    size_t n;

    if (!tls && strncmp(text, "http://", 7) == 0 && !proxy)
        return error_set(e, -EINVAL, "http:// is not encrypted, and keys are told to nobody in plain text; %s", rule);
    if (!tls && strncmp(text, "http://", 7) != 0)
        return error_set(e, -EINVAL, "\"%.100s\" is not the address of a %s; %s", text, proxy ? "proxy" : "cloud",
                         rule);
    if (strlen(text) > HTTPS_URL_MAX)
        return error_set(e, -EINVAL, "an address of %zu characters; at most %d are possible", strlen(text),
                         HTTPS_URL_MAX);
    rest = text + (tls ? 8 : 7);
    n = strcspn(rest, "/?#");
    if (memchr(rest, '@', n))
        return error_set(e, -EINVAL, "names and passwords do not belong into an address; %s", rule);
    if (rest[n] == '?' || rest[n] == '#' || strpbrk(rest + n, "?#") || (proxy && rest[n] && strcmp(rest + n, "/") != 0))
        return error_set(e, -EINVAL, "\"%.64s\" does not belong into this address; %s", rest + n, rule);
    for (const char *p = rest; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
            return error_set(e, -EINVAL, "\"%.100s\" has a character that no address has; %s", text, rule);
    return authority(rest, n, tls ? "https" : "http", rule, host, &port, e);
}
