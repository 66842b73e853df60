/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a state: refused, or decoded into what the format allows, which encodes and decodes to itself. */
#include "vault/state.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t encoded[VAULT_STATE_MAX], again[VAULT_STATE_MAX];
    struct state state, back;
    size_t n;

    if (size > VAULT_STATE_MAX || state_decode(data, size, &state) < 0)
        return 0;
    check(state.main_slot <= 1 && state.rotation_size <= VAULT_ROTATION_MAX);
    check(state.unknown_size <= STATE_UNKNOWN_MAX);
    for (int i = 0; i < 2; i++)
        check(memchr(state.slots[i].cloud_id, 0, sizeof(state.slots[i].cloud_id)) != NULL);
    n = state_encode(&state, encoded);
    check(n <= VAULT_STATE_MAX && state_decode(encoded, n, &back) == 0);
    check(state_encode(&back, again) == n && memcmp(encoded, again, n) == 0);
    return 0;
}
