/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Decoder files: what is taken, whose file goes first, and what is said of mistakes, and where. */

#include "ble-sample.h"

#include "scratch-dir.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct complaint {
    unsigned n;
    char path[256], place[256], message[512];
};

static void keep(void *context, const char *path, const char *place, const char *message)
{
    struct complaint *c = context;

    if (c->n++ > 0)
        return;
    (void)snprintf(c->path, sizeof c->path, "%s", path);
    (void)snprintf(c->place, sizeof c->place, "%s", place);
    (void)snprintf(c->message, sizeof c->message, "%s", message);
}

/* A file that is good, in parts that a test can replace. */
#define MATCH "\"match\": {\"company\": \"0x1234\"}"
#define FIELD "\"name\": \"level\", \"type\": \"uint8\""
#define FIELDS "\"fields\": [{" FIELD "}]"
#define VECTOR "{\"manufacturer\": {\"0x1234\": \"05\"}, \"values\": {\"level\": 5}}"
#define VECTORS "\"vectors\": [" VECTOR "]"

static int add(struct decoder_set *set, const char *name, const char *text, struct complaint *c)
{
    return decoder_set_add_text(set, name, "x.json", text, strlen(text), keep, c);
}

static const char *const good[] = {
    "{" MATCH ", " FIELDS ", " VECTORS "}",
    "// a line\n{" MATCH ", /* a \"part */ " FIELDS ", " VECTORS "} // the end",
    "{\"title\": \"a // title /* with */ all\", \"source\": \"\\\"//\", \"comment\": \"x\", " MATCH ", " FIELDS
    ", " VECTORS "}",
    "{\"match\": {\"company\": 4660}, " FIELDS ", " VECTORS "}",
    "{\"match\": {\"company\": [\"0x1\", \"0x1234\"], \"length\": [1, 9]}, " FIELDS ", " VECTORS "}",
    "{" MATCH ", \"fields\": [{" FIELD ", \"at\": -1}], " VECTORS "}",
    "{" MATCH ", \"fields\": [{" FIELD
    ", \"when\": [{\"type\": \"uint8\", \"min\": 1}, {\"type\": \"uint8\", \"max\": 5}]}], " VECTORS "}",
    "{" MATCH ", \"fields\": [{" FIELD ", \"bits\": [0, 4]}], " VECTORS "}",
    "{\"match\": {\"service\": \"12345678-1234-1234-1234-123456789abc\"}, " FIELDS
    ", \"vectors\": [{\"service\": {\"12345678-1234-1234-1234-123456789ABC\": \"05\"}, \"values\": {\"level\": 5}}]}",
};

static void test_good_files_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct decoder_set *set = decoder_set_new();
        struct complaint c = {0};
        if (add(set, "own", good[i], &c) != 0)
            fail_msg("%zu: %s: %s", i, c.place, c.message);
        assert_int_equal(decoder_vectors(decoder_set_find(set, "own")), 1);
        decoder_set_free(set);
    }
}

static const struct {
    const char *text;
    const char *place;
    const char *message;
} mistakes[] = {
    {"", "1:1", "too early"},
    {"[]", "", "expected an object"},
    {"{\n  \"match\": {,}}", "2:13", ""},
    {"{" MATCH ",\n " FIELDS ",\n " VECTORS "} x", "3:", ""},
    {"{" MATCH ", " FIELDS ", " VECTORS ",}", "1:", ""},
    {"{" MATCH ", " FIELDS ", " VECTORS, "1:", "too early"},
    {"{" MATCH ", " FIELDS "}", "/vectors", "missing"},
    {"{" MATCH ", " FIELDS ", \"vectors\": []}", "/vectors", "expected 1 to"},
    {"{" MATCH ", " FIELDS ", \"vectors\": {}}", "/vectors", "expected a list"},
    {"{" FIELDS ", " VECTORS "}", "/match", "missing"},
    {"{" MATCH ", " VECTORS "}", "/fields", "missing"},
    {"{\"macth\": 1, " MATCH ", " FIELDS ", " VECTORS "}", "/macth", "unknown key"},
    {"{\"match\": {}, " FIELDS ", " VECTORS "}", "/match", "expected \"company\" or \"service\""},
    {"{\"match\": {\"company\": \"1234\"}, " FIELDS ", " VECTORS "}", "/match/company", "such as \"0x0499\""},
    {"{\"match\": {\"company\": \"0x12345\"}, " FIELDS ", " VECTORS "}", "/match/company", "such as"},
    {"{\"match\": {\"company\": \"value\"}, " FIELDS ", " VECTORS "}", "/match/company", "matches every company"},
    {"{\"match\": {\"company\": \"0x1234\", \"service\": \"fcd2\"}, " FIELDS ", " VECTORS "}", "/match/service",
     "already"},
    {"{\"match\": {\"service\": \"fcd\"}, " FIELDS ", " VECTORS "}", "/match/service", "UUID"},
    {"{\"match\": {\"company\": \"0x1234\", \"name\": [\"\"]}, " FIELDS ", " VECTORS "}", "/match/name", "beginning"},
    {"{\"match\": {\"company\": \"0x1234\", \"length\": [9, 1]}, " FIELDS ", " VECTORS "}", "/match/length", "bytes"},
    {"{\"match\": {\"company\": \"0x1234\", \"bytes\": {\"x\": \"05\"}}, " FIELDS ", " VECTORS "}", "/match/bytes/x",
     "offset"},
    {"{\"match\": {\"company\": \"0x1234\", \"bytes\": {\"0\": \"5\"}}, " FIELDS ", " VECTORS "}", "/match/bytes/0",
     "hexadecimal"},
    {"{\"decrypt\": \"aes\", " MATCH ", " FIELDS ", " VECTORS "}", "/decrypt", "expected bthome"},
    {"{\"decrypt\": \"pvvx\", " MATCH ", " FIELDS ", " VECTORS "}", "/decrypt", "pvvx needs"},
    {"{" MATCH ", \"fields\": [], " VECTORS "}", "/fields", "expected 1 to"},
    {"{" MATCH ", \"fields\": [1], " VECTORS "}", "/fields/0", "expected an object"},
    {"{" MATCH ", \"fields\": [{\"type\": \"uint8\"}], " VECTORS "}", "/fields/0/name", "missing"},
    {"{" MATCH ", \"fields\": [{\"name\": \"a b\", \"type\": \"uint8\"}], " VECTORS "}", "/fields/0/name", "letters"},
    {"{" MATCH ", \"fields\": [{\"name\": \"level\"}], " VECTORS "}", "/fields/0/type", "missing"},
    {"{" MATCH ", \"fields\": [{\"name\": \"level\", \"type\": \"u8\"}], " VECTORS "}", "/fields/0/type",
     "\"u8\" is unknown"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"order\": \"middle\"}], " VECTORS "}", "/fields/0/order",
     "\"little\" or \"big\""},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"bits\": [4, 5]}], " VECTORS "}", "/fields/0/bits", "bits 0 to 7"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"scale\": 0}], " VECTORS "}", "/fields/0/scale", "none of them 0"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"scale\": [1]}], " VECTORS "}", "/fields/0/scale", "none of them 0"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"invalid\": \"none\"}], " VECTORS "}", "/fields/0/invalid", "0x"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"min\": 5, \"max\": 4}], " VECTORS "}", "/fields/0/min", "above"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"when\": {\"type\": \"uint8\"}}], " VECTORS "}", "/fields/0/when",
     "needs either"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"when\": [{\"type\": \"text\", \"equals\": 1}]}], " VECTORS "}",
     "/fields/0/when/0/type", "whole number"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"values\": {\"x\": \"on\"}}], " VECTORS "}", "/fields/0/values/x",
     "as the key"},
    {"{" MATCH ", \"fields\": [{" FIELD ", \"scales\": 1}], " VECTORS "}", "/fields/0/scales", "unknown key"},
    {"{" MATCH ", \"fields\": [{\"name\": \"t\", \"type\": \"text\", \"scale\": 2}], " VECTORS "}", "/fields/0/scale",
     "only numbers"},
    {"{" MATCH ", \"walk\": {}, " VECTORS "}", "/objects", "missing"},
    {"{" MATCH ", \"objects\": {\"0x01\": {" FIELD "}}, " VECTORS "}", "/objects", "\"walk\""},
    {"{" MATCH ", \"walk\": {\"tag\": \"uint32\"}, \"objects\": {\"0x01\": {" FIELD "}}, " VECTORS "}", "/walk/tag",
     "uint16"},
    {"{" MATCH ", \"walk\": {}, \"objects\": {\"one\": {" FIELD "}}, " VECTORS "}", "/objects/one", "no tag"},
    {"{" MATCH ", \"walk\": {}, \"objects\": {\"0x01\": {" FIELD "}, \"1\": {" FIELD "}}, " VECTORS "}", "/objects/1",
     "there already"},
    {"{" MATCH ", \"walk\": {}, \"objects\": {\"0x01\": {\"fields\": [{" FIELD "}]}}, " VECTORS "}",
     "/objects/0x01/length", "missing"},
    {"{\"characteristics\": {\"2a\": {" FIELD "}}, " VECTORS "}", "/characteristics/2a", "no UUID"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [{\"manufacturer\": {\"0x1234\": \"05\"}, \"values\": {\"level\": 6}}]}",
     "/vectors/0/values/level", "give 5, the vector has 6"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [{\"manufacturer\": {\"0x1234\": \"05\"}, \"values\": {\"level\": \"5\"}}]}",
     "/vectors/0/values/level", "give 5"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [" VECTOR ", {\"manufacturer\": {\"0x1234\": \"05\"}}]}",
     "/vectors/1/values/level", "does not have it"},
    {"{" MATCH ", " FIELDS
     ", \"vectors\": [{\"manufacturer\": {\"0x1234\": \"05\"}, \"values\": {\"level\": 5, \"x\": 1}}]}",
     "/vectors/0/values/x", "do not give"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [{\"manufacturer\": {\"0x1235\": \"05\"}, \"values\": {\"level\": 5}}]}",
     "/vectors/0/result", "not-mine"},
    {"{" MATCH ", " FIELDS
     ", \"vectors\": [{\"manufacturer\": {\"0x1234\": \"05\"}, \"values\": {\"level\": 5}, \"sequence\": 1}]}",
     "/vectors/0/sequence", "do not give one"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [{\"manufacturer\": {\"0x1234\": \"0\"}}]}", "/vectors/0/manufacturer",
     "hexadecimal"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [{}]}", "/vectors/0", "expected one of"},
    {"{" MATCH ", " FIELDS ", \"vectors\": [{\"manufacturer\": {\"0x1234\": \"05\"}, \"address\": \"x\"}]}",
     "/vectors/0/address", "address"},
};

static void test_mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct decoder_set *set = decoder_set_new();
        struct complaint c = {0};
        assert_int_equal(add(set, "own", mistakes[i].text, &c), -EINVAL);
        if (c.n == 0 || strncmp(c.place, mistakes[i].place, strlen(mistakes[i].place)) != 0 ||
            (mistakes[i].place[0] == '/' && strcmp(c.place, mistakes[i].place) != 0) ||
            !strstr(c.message, mistakes[i].message))
            fail_msg("%zu: %s: %s", i, c.place, c.message);
        assert_int_equal(decoder_set_count(set), 0);
        decoder_set_free(set);
    }
}

static void test_names_that_are_none_are_refused(void **state)
{
    static const char *const names[] = {"", "auto", ".own", "a b", "a/b", "\xc3\xa4"};
    struct decoder_set *set = decoder_set_new();

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct complaint c = {0};
        assert_int_equal(add(set, names[i], good[0], &c), -EINVAL);
        assert_int_equal(c.n, 1);
    }
    decoder_set_free(set);
}

/* --- directories --- */

static void put(const char *directory, const char *name, const char *text)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_all(const char *directory)
{
    assert_int_equal(nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *title_in(const struct decoder_set *set, const char *name)
{
    const struct decoder *d = decoder_set_find(set, name);

    return d ? decoder_title(d) : "none";
}

#define TITLED(title) "{\"title\": \"" title "\", " MATCH ", " FIELDS ", " VECTORS "}"

static void test_the_administrators_file_goes_first(void **state)
{
    char directory[256], admin[300], package[300];
    struct decoder_set *set = NULL;
    struct complaint c = {0};

    (void)state;
    scratch_directory(directory, sizeof directory, "ble");
    (void)snprintf(admin, sizeof admin, "%s/admin", directory);
    (void)snprintf(package, sizeof package, "%s/package", directory);
    assert_int_equal(mkdir(admin, 0700) | mkdir(package, 0700), 0);
    put(package, "both.json", TITLED("package"));
    put(package, "broken.json", TITLED("package"));
    put(package, "theirs.json", TITLED("package"));
    put(admin, "both.json", TITLED("admin"));
    put(admin, "broken.json", "{}");
    put(admin, "own.json", TITLED("admin"));
    put(admin, ".hidden.json", "{}");
    put(admin, "own.json~", "{}");
    const char *const directories[] = {admin, "/no/such/directory", package};
    assert_int_equal(decoder_set_load(directories, 3, keep, &c, &set), 0);
    assert_int_equal(decoder_set_count(set), 3);
    assert_string_equal(title_in(set, "both"), "admin");
    assert_string_equal(title_in(set, "own"), "admin");
    assert_string_equal(title_in(set, "theirs"), "package");
    /* A refused file is not replaced by another one that the administrator did not want. */
    assert_string_equal(title_in(set, "broken"), "none");
    assert_true(strstr(c.path, "admin/broken.json"));
    assert_string_equal(decoder_name(decoder_set_at(set, 0)), "both");
    assert_string_equal(decoder_name(decoder_set_at(set, 2)), "theirs");
    assert_null(decoder_set_at(set, 3));
    decoder_set_free(set);
    remove_all(directory);
}

static void test_what_is_no_file_is_told(void **state)
{
    char directory[256], path[300];
    struct decoder_set *set = NULL;
    struct complaint c = {0};

    (void)state;
    scratch_directory(directory, sizeof directory, "ble");
    (void)snprintf(path, sizeof path, "%s/a.json", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    put(directory, "z.json", TITLED("good"));
    const char *const directories[] = {directory};
    assert_int_equal(decoder_set_load(directories, 1, keep, &c, &set), 0);
    assert_int_equal(c.n, 1);
    assert_string_equal(c.path, path);
    assert_string_equal(c.message, "is not a regular file");
    assert_int_equal(decoder_set_count(set), 1);
    decoder_set_free(set);
    remove_all(directory);
}

static void test_a_format_of_ones_own_needs_no_code(void **state)
{
    static const char text[] =
        "{\"match\": {\"service\": \"fff0\", \"name\": \"Pool\"}, \"fields\": [\n"
        "  {\"name\": \"temperature\", \"at\": 2, \"type\": \"int16\", \"order\": \"big\", \"scale\": 0.01, \"unit\": \"Cel\"},\n"
        "  {\"name\": \"ph\", \"at\": 4, \"type\": \"uint8\", \"scale\": 0.1}],\n"
        " \"vectors\": [{\"service\": {\"fff0\": \"000009c448\"}, \"name\": \"Pool-1\", \"values\": {\"temperature\": 25, \"ph\": 7.2}}]}";
    struct decoder_set *set = shipped_decoders();
    struct decoded *d = calloc(1, sizeof *d);
    struct complaint c = {0};
    struct sample s;
    char values[256];

    (void)state;
    assert_non_null(d);
    assert_int_equal(add(set, "pool", text, &c), 0);
    sample_make(&s, "s:fff0:0000FF9c47", NULL, NULL);
    s.advert.name = "Pool-7";
    assert_int_equal(decoder_decode(set, "auto", &s.advert, NULL, NULL, 0, d), DECODED);
    decoded_text(d, values, sizeof values);
    assert_string_equal(values, "temperature=-1 ph=7.1");
    assert_string_equal(d->values[0].unit, "Cel");
    assert_null(d->values[1].unit);
    assert_int_equal(decoder_decode(set, "pool", &s.advert, NULL, NULL, 0, d), DECODED);
    assert_int_equal(decoder_decode(set, "bthome", &s.advert, NULL, NULL, 0, d), DECODER_NOT_MINE);
    assert_int_equal(decoder_decode(set, "sauna", &s.advert, NULL, NULL, 0, d), -ENOENT);
    s.advert.name = "Pond";
    assert_int_equal(decoder_decode(set, "auto", &s.advert, NULL, NULL, 0, d), DECODER_NOT_MINE);
    free(d);
    decoder_set_free(set);
}

/* One field over eight bytes, and what it makes of the bytes. */
static const struct {
    const char *sentence;
    const char *field;
    const char *bytes;
    const char *values;
} fields[] = {
    {"all bits of 64", "\"type\": \"uint64\"", "ffffffffffffffff", "v=18446744073709551615"},
    {"all bits of 64, scaled", "\"type\": \"uint64\", \"scale\": 0.5", "ffffffffffffffff", "v=9.22337203685478e+18"},
    {"all bits of 64, divided", "\"type\": \"uint64\", \"divide\": 1000000000", "ffffffffffffffff", "v=18446744073"},
    {"the least of 64 bits has no opposite", "\"type\": \"int64\", \"negative\": {\"type\": \"uint8\", \"equals\": 0}",
     "0000000000000080", "v=-9223372036854775808"},
    {"24 bits below zero", "\"type\": \"int24\"", "feffff", "v=-2"},
    {"24 bits, the other way round", "\"type\": \"int24\", \"order\": \"big\"", "fffffe", "v=-2"},
    {"a nibble below zero", "\"type\": \"int8\", \"bits\": [4, 4]", "f3", "v=-1"},
    {"a nibble", "\"type\": \"uint8\", \"bits\": [0, 4]", "f3", "v=3"},
    {"bits across bytes", "\"type\": \"uint16\", \"order\": \"big\", \"bits\": [5, 11]", "ac36", "v=1377"},
    {"a sign above the magnitude", "\"type\": \"sm16\"", "0580", "v=-5"},
    {"from the end", "\"type\": \"uint8\", \"at\": -2", "010203", "v=2"},
    {"before the beginning", "\"type\": \"uint8\", \"at\": -4", "010203", ""},
    {"an invalid one as its bits", "\"type\": \"int16\", \"invalid\": \"0x8000\"", "0080", ""},
    {"an invalid one as a number", "\"type\": \"int16\", \"invalid\": -32768", "0080", ""},
    {"a float", "\"type\": \"float32\"", "0000c03f", "v=1.5"},
    {"a float that is no number", "\"type\": \"float32\"", "0000c07f", ""},
    {"a float that is infinite", "\"type\": \"float64\", \"order\": \"big\"", "7ff0000000000000", ""},
    {"a medical float of 16 bits", "\"type\": \"medfloat16\"", "72f1", "v=37"},
    {"a medical float that is too large", "\"type\": \"medfloat16\"", "fe07", ""},
    {"0.1 + 0.2", "\"type\": \"uint8\", \"scale\": 0.1, \"plus\": {\"at\": 1, \"type\": \"uint8\", \"scale\": 0.1}",
     "0102", "v=0.3"},
    {"below zero towards zero", "\"type\": \"int16\", \"divide\": 10", "f1ff", "v=-1"},
    {"no negative zero", "\"type\": \"uint8\", \"scale\": -0.1", "00", "v=0"},
    {"nothing of the names", "\"type\": \"uint8\", \"values\": {\"1\": \"on\"}", "02", ""},
    {"one of the names", "\"type\": \"int8\", \"values\": {\"-1\": \"down\", \"0x01\": \"up\"}", "ff", "v=down"},
    {"a text up to its end", "\"type\": \"text\"", "c3a4c3", "v=\xc3\xa4?"},
    {"a text without what cannot be printed", "\"type\": \"text\", \"length\": 3", "410a42", "v=A?B"},
    {"a version", "\"type\": \"version\", \"length\": 3", "000106", "v=6.1.0"},
};

static void test_fields(void **state)
{
    struct decoded *d = calloc(1, sizeof *d);

    (void)state;
    assert_non_null(d);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct decoder_set *set = decoder_set_new();
        char text[1024], values[512], source[64];
        struct complaint c = {0};
        struct sample s;
        (void)snprintf(text, sizeof text,
                       "{" MATCH ", \"fields\": [{\"name\": \"v\", %s}], \"vectors\": [{\"manufacturer\": {\"0x1\": "
                       "\"\"}, \"result\": \"not-mine\"}]}",
                       fields[i].field);
        if (add(set, "own", text, &c) != 0)
            fail_msg("%s: %s: %s", fields[i].sentence, c.place, c.message);
        (void)snprintf(source, sizeof source, "1234:%s", fields[i].bytes);
        sample_make(&s, source, NULL, NULL);
        (void)decoder_decode(set, "own", &s.advert, NULL, NULL, 0, d);
        decoded_text(d, values, sizeof values);
        if (strcmp(values, fields[i].values) != 0)
            fail_msg("%s: %s, not %s", fields[i].sentence, values, fields[i].values);
        decoder_set_free(set);
    }
    free(d);
}

static void test_it_is_known_which_values_a_format_gives(void **state)
{
    struct decoder_set *set = shipped_decoders();

    (void)state;
    assert_true(decoder_gives(set, "bthome", "temperature"));
    assert_true(decoder_gives(set, "bthome", "temperature_2"));
    assert_true(decoder_gives(set, "bthome", "pm2.5_10"));
    assert_true(decoder_gives(set, "auto", "specific_gravity"));
    assert_false(decoder_gives(set, "bthome", "temprature"));
    assert_false(decoder_gives(set, "bthome", "temperature_1"));
    assert_false(decoder_gives(set, "bthome", "temperature_02"));
    assert_false(decoder_gives(set, "bthome", "_2"));
    assert_false(decoder_gives(set, "bthome", ""));
    assert_false(decoder_gives(set, "ruuvi-5", "temperature_2"));
    assert_false(decoder_gives(set, "ruuvi-5", "specific_gravity"));
    assert_true(decoder_gives(set, "victron-smart-lithium", "cell_1_voltage"));
    assert_false(decoder_gives(set, "gatt", "temperature"));
    decoder_set_free(set);
}

static void test_a_directory_that_cannot_be_read_costs_only_its_own(void **state)
{
    char directory[256], path[300];
    struct decoder_set *set = NULL;
    struct complaint c = {0};

    (void)state;
    scratch_directory(directory, sizeof directory, "ble");
    put(directory, "z.json", TITLED("good"));
    (void)snprintf(path, sizeof path, "%s/z.json", directory);
    const char *const directories[] = {path, directory};
    assert_int_equal(decoder_set_load(directories, 2, keep, &c, &set), 0);
    assert_int_equal(c.n, 1);
    assert_string_equal(c.path, path);
    assert_int_equal(decoder_set_count(set), 1);
    decoder_set_free(set);
    remove_all(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files_are_taken),
        cmocka_unit_test(test_mistakes_are_told_with_their_place),
        cmocka_unit_test(test_names_that_are_none_are_refused),
        cmocka_unit_test(test_the_administrators_file_goes_first),
        cmocka_unit_test(test_what_is_no_file_is_told),
        cmocka_unit_test(test_a_format_of_ones_own_needs_no_code),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_it_is_known_which_values_a_format_gives),
        cmocka_unit_test(test_a_directory_that_cannot_be_read_costs_only_its_own),
    };

    return cmocka_run_group_tests_name("ble-files", tests, NULL, NULL);
}
