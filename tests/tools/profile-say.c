/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wrong with a profile, a line each and status 1; or what it says of samples:
 *
 *     profile-say FILE              nothing, if it is right
 *     profile-say FILE --samples    packs of samples on standard input, "POINT USEC TYPE VALUE" a line, each in hex */
#include "base/durable.h"
#include "base/limits.h"
#include "payload/profile.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SAMPLES_MAX 1000

static int complain(const struct mistakes *m)
{
    _cleanup_free_ char *text = NULL;

    mistakes_format(m, &text);
    puts(text ?: "");
    return 1;
}

/* The sample gets strings of its own. */
static bool read_sample(const char *line, struct sample *ret)
{
    _cleanup_free_ char *point = NULL, *value = NULL;
    char type;
    unsigned long long usec;

    if (sscanf(line, "%ms %llu %c %m[^\n]", &point, &usec, &type, &value) != 4)
        return false;
    *ret =
        (struct sample){.point = TAKE_PTR(point), .time = usec, .unit = "", .value = {.type = (enum sample_type)type}};
    if (type == 'd')
        ret->value.d = strtod(value, NULL);
    else if (type == 'x')
        ret->value.x = strtoll(value, NULL, 10);
    else if (type == 't')
        ret->value.t = strtoull(value, NULL, 10);
    else if (type == 'b')
        ret->value.b = value[0] == '1';
    else
        ret->value.s = TAKE_PTR(value);
    return true;
}

static int say(const struct profile *p)
{
    const struct profile_names names = {"boiler-1", "HW-1", "abcdefghij", "site-7", 50};
    struct sample samples[SAMPLES_MAX];
    size_t n = 0;
    char line[1024];

    while (n < SAMPLES_MAX && fgets(line, sizeof(line), stdin))
        if (!read_sample(line, &samples[n++]))
            return 2;
    for (size_t at = 0; at < n;) {
        struct profile_message m = {0};
        ssize_t taken = profile_pack(p, &names, &samples[at], n - at, 0, &m);

        if (taken <= 0)
            return 2;
        for (size_t i = 0; i < m.size; i++)
            printf("%02x", (unsigned)(uint8_t)m.body[i]);
        putchar('\n');
        profile_message_done(&m);
        at += (size_t)taken;
    }
    for (size_t i = 0; i < n; i++) {
        free((char *)samples[i].point);
        sample_value_done(&samples[i].value);
    }
    return 0;
}

int main(int argc, char *argv[])
{
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_(profile_unrefp) struct profile *p = NULL;
    _cleanup_free_ char *text = NULL;
    struct error e = {""};
    size_t n;

    if (argc < 2 || file_read(AT_FDCWD, argv[1], CONFIG_FILE_MAX, &text, &n, &e) < 0) {
        fprintf(stderr, "usage: profile-say FILE [--samples]%s%s\n", e.text[0] ? ": " : "", e.text);
        return 2;
    }
    if (profile_parse(argv[1], text, n, &p, &m) < 0)
        return complain(&m);
    return argc > 2 ? say(p) : 0;
}
