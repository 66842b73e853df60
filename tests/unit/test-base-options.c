/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A name that is not typed in full is no option, wherever it stands and however its value is given. */
#include "base/options.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct option options[] = {
    {"state-dir", required_argument, NULL, 's'},
    {"keep", no_argument, NULL, 'k'},
    {"keyfile", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* The codes in order, up to the first mistake. */
static const char *parse(const char *const *words)
{
    static char codes[16];
    char *argv[16] = {(char *)"program"};
    int argc = 1, code;
    size_t n = 0;

    for (; *words; words++)
        argv[argc++] = (char *)*words;
    optind = 0;
    opterr = 0;
    while ((code = options_next(argc, argv, "h", options)) != -1 && n + 1 < sizeof(codes)) {
        codes[n++] = (char)code;
        if (code == '?')
            break;
    }
    codes[n] = 0;
    return codes;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void full_names(void **state)
{
    assert_string_equal(PARSE("--state-dir", "x", "--keep", "-h"), "skh");
    assert_string_equal(PARSE("--state-dir=x", "--keyfile=", "--help"), "sfh");
    assert_string_equal(PARSE("word", "--state-dir", "--keyfile", "word"), "s");
    assert_string_equal(PARSE("word", "--", "--state"), "");
}

static void beginnings(void **state)
{
    assert_string_equal(PARSE("--state", "x"), "?");
    assert_string_equal(PARSE("--state=x"), "?");
    assert_string_equal(PARSE("--state-di=state-dir"), "?");
    assert_string_equal(PARSE("--keep", "--hel"), "k?");
    assert_string_equal(PARSE("word", "--key=x"), "?");
    assert_string_equal(PARSE("--ke"), "?"); /* of two */
    assert_string_equal(PARSE("--kee", "word"), "?");
}

/* The word is where getopt leaves one that it does not know, so that it can be named. */
static void the_word(void **state)
{
    char *apart[] = {(char *)"program", (char *)"--state", (char *)"x", NULL};
    char *joined[] = {(char *)"program", (char *)"--state=x", NULL};

    opterr = 0;
    optind = 0;
    assert_int_equal(options_next(3, apart, "h", options), '?');
    assert_string_equal(apart[optind - 1], "--state");
    optind = 0;
    assert_int_equal(options_next(2, joined, "h", options), '?');
    assert_string_equal(joined[optind - 1], "--state=x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_names),
        cmocka_unit_test(beginnings),
        cmocka_unit_test(the_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
