/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CBOR of a stranger: whatever is taken is JSON that can be written and read again; whatever is not has words. */
#include "base/json.h"
#include "payload/cbor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_object *o = NULL, *again = NULL;
    struct error e = {""};
    int r = cbor_parse(data, size, &o, &e);
    const char *text;

    require(r == 0 || (r == -EBADMSG && e.text[0] && !o), "a refusal without words");
    if (r < 0)
        return 0;
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    require(json_parse(text, strlen(text), &again, &e) == 0, e.text);
    return 0;
}
