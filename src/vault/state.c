/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/state.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

#define MAGIC "GHVS"

/* Tags of slot 1 are those of slot 0 plus TAG_SLOT_STEP. For ever: a tag is never given a second meaning. */
enum {
    TAG_REMOVED = 0x0001,
    TAG_MAIN_SLOT = 0x0002,
    TAG_IDENTITY_COUNTER = 0x0003,
    TAG_GENERATION = 0x0004,
    TAG_ROTATION = 0x0005,
    TAG_RESTORED = 0x0006,
    TAG_REGISTRATION = 0x0007,
    TAG_VERSION = 0x0008,
    TAG_SLOT_GENERATION = 0x0010, /* there: the slot is filled */
    TAG_SLOT_SINCE = 0x0011,
    TAG_SLOT_AUTHENTICATED = 0x0012,
    TAG_SLOT_CLOUD_ID = 0x0013,
    TAG_SLOT_STEP = 0x0010,
};

_Static_assert(10 * 12 + 5 * 5 + 3 * 4 + VAULT_ROTATION_MAX + 2 * CLOUD_ID_MAX + STATE_UNKNOWN_MAX <= VAULT_STATE_MAX,
               "a full state must fit");

struct writer {
    uint8_t *data;
    size_t size;
};

static void put(struct writer *w, unsigned tag, const void *value, size_t n)
{
    assert(w->size + 4 + n <= VAULT_STATE_MAX);
    w->data[w->size++] = (uint8_t)(tag >> 8);
    w->data[w->size++] = (uint8_t)tag;
    w->data[w->size++] = (uint8_t)(n >> 8);
    w->data[w->size++] = (uint8_t)n;
    if (n > 0)
        memcpy(w->data + w->size, value, n);
    w->size += n;
}

static void put_u8(struct writer *w, unsigned tag, uint8_t value)
{
    put(w, tag, &value, 1);
}

/* Zero is what a tag that is not there means. */
static void put_u64(struct writer *w, unsigned tag, uint64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    if (value != 0)
        put(w, tag, bytes, sizeof(bytes));
}

size_t state_encode(const struct state *state, uint8_t data[VAULT_STATE_MAX])
{
    struct writer w = {.data = data};

    if (state->removed)
        put_u8(&w, TAG_REMOVED, 1);
    if (state->restored)
        put_u8(&w, TAG_RESTORED, 1);
    put_u8(&w, TAG_MAIN_SLOT, state->main_slot);
    put_u64(&w, TAG_IDENTITY_COUNTER, state->identity_counter);
    put_u64(&w, TAG_GENERATION, state->generation);
    put_u64(&w, TAG_VERSION, state->version);
    if (state->registration != VAULT_REGISTERED)
        put_u8(&w, TAG_REGISTRATION, (uint8_t)state->registration);
    if (state->rotation_size > 0)
        put(&w, TAG_ROTATION, state->rotation, state->rotation_size);
    for (unsigned i = 0; i < 2; i++) {
        const struct state_slot *slot = &state->slots[i];
        unsigned step = i * TAG_SLOT_STEP;

        if (!slot->present)
            continue;
        put_u64(&w, TAG_SLOT_GENERATION + step, slot->generation);
        put_u64(&w, TAG_SLOT_SINCE + step, slot->since);
        put_u64(&w, TAG_SLOT_AUTHENTICATED + step, slot->last_authenticated);
        if (*slot->cloud_id)
            put(&w, TAG_SLOT_CLOUD_ID + step, slot->cloud_id, strlen(slot->cloud_id));
    }
    memcpy(w.data + w.size, state->unknown, state->unknown_size);
    return w.size + state->unknown_size;
}

static int get_u8(const uint8_t *value, size_t n, uint8_t max, uint8_t *ret)
{
    if (n != 1 || value[0] > max)
        return -EBADMSG;
    *ret = value[0];
    return 0;
}

static int get_u64(const uint8_t *value, size_t n, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n && i < 8; i++)
        v = v << 8 | value[i];
    if (n != 8 || v == 0)
        return -EBADMSG;
    *ret = v;
    return 0;
}

static int get_cloud_id(const uint8_t *value, size_t n, char *ret)
{
    if (n == 0 || n > CLOUD_ID_MAX || !text_printable(value, n))
        return -EBADMSG;
    memcpy(ret, value, n);
    ret[n] = 0;
    return 0;
}

static int get_slot(unsigned tag, const uint8_t *value, size_t n, struct state_slot *slot)
{
    switch (tag) {
    case TAG_SLOT_GENERATION:
        slot->present = true;
        return get_u64(value, n, &slot->generation);
    case TAG_SLOT_SINCE:
        return get_u64(value, n, &slot->since);
    case TAG_SLOT_AUTHENTICATED:
        return get_u64(value, n, &slot->last_authenticated);
    case TAG_SLOT_CLOUD_ID:
        return get_cloud_id(value, n, slot->cloud_id);
    }
    return -EBADMSG;
}

static int get_registration(const uint8_t *value, size_t n, enum vault_registration *ret)
{
    uint8_t number;
    int r = get_u8(value, n, VAULT_REGISTRATION_CONFLICT, &number);

    if (r < 0 || number == VAULT_REGISTERED)
        return -EBADMSG;
    *ret = (enum vault_registration)number;
    return 0;
}

static int get(struct state *s, unsigned tag, const uint8_t *tlv, size_t n)
{
    const uint8_t *value = tlv + 4;
    uint8_t flag;

    switch (tag) {
    case TAG_REMOVED:
        s->removed = true;
        return get_u8(value, n, 1, &flag);
    case TAG_RESTORED:
        s->restored = true;
        return get_u8(value, n, 1, &flag);
    case TAG_MAIN_SLOT:
        return get_u8(value, n, 1, &s->main_slot);
    case TAG_IDENTITY_COUNTER:
        return get_u64(value, n, &s->identity_counter);
    case TAG_GENERATION:
        return get_u64(value, n, &s->generation);
    case TAG_VERSION:
        return get_u64(value, n, &s->version);
    case TAG_REGISTRATION:
        return get_registration(value, n, &s->registration);
    case TAG_ROTATION:
        if (n == 0 || n > sizeof(s->rotation))
            return -EBADMSG;
        memcpy(s->rotation, value, n);
        s->rotation_size = n;
        return 0;
    case TAG_SLOT_GENERATION ... TAG_SLOT_CLOUD_ID:
        return get_slot(tag, value, n, &s->slots[0]);
    case TAG_SLOT_GENERATION + TAG_SLOT_STEP... TAG_SLOT_CLOUD_ID + TAG_SLOT_STEP:
        return get_slot(tag - TAG_SLOT_STEP, value, n, &s->slots[1]);
    }
    if (s->unknown_size + 4 + n > sizeof(s->unknown))
        return -EBADMSG;
    memcpy(s->unknown + s->unknown_size, tlv, 4 + n);
    s->unknown_size += 4 + n;
    return 0;
}

/* Rejects states that no writer makes: details of an empty slot, a slot newer than the entry, credentials of a
 * removed entry. */
static bool consistent(const struct state *s)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct state_slot *slot = &s->slots[i];

        if (!slot->present && (slot->since || slot->last_authenticated || *slot->cloud_id))
            return false;
        if (slot->present && (slot->generation > s->generation || s->removed))
            return false;
    }
    /* Only what is there can wait to be registered. */
    if (s->registration != VAULT_REGISTERED && (s->main_slot > 1 || !s->slots[s->main_slot].present))
        return false;
    return !s->removed || s->rotation_size == 0;
}

int state_decode(const uint8_t *data, size_t size, struct state *ret)
{
    struct state s = {0};
    uint64_t seen = 0;

    for (size_t at = 0; at < size;) {
        unsigned tag;
        size_t n;
        int r;

        if (size - at < 4)
            return -EBADMSG;
        tag = (unsigned)data[at] << 8 | data[at + 1];
        n = (size_t)data[at + 2] << 8 | data[at + 3];
        if (n > size - at - 4 || tag == 0)
            return -EBADMSG;
        /* No tag of ours comes twice; their order is free, since a later version's may stand between. */
        if (tag < 64 && (seen & UINT64_C(1) << tag))
            return -EBADMSG;
        if (tag < 64)
            seen |= UINT64_C(1) << tag;
        r = get(&s, tag, data + at, n);
        if (r < 0)
            return r;
        at += 4 + n;
    }
    if (!consistent(&s))
        return -EBADMSG;
    *ret = s;
    return 0;
}

static void associated_data(struct seal_ad *ad, const struct record_place *place)
{
    seal_ad_init(ad, MAGIC, place->vault_id);
    seal_ad_text(ad, place->device);
    seal_ad_text(ad, place->uplink);
}

int state_seal(const struct secret *state_key, const struct record_place *place, const struct state *state,
               uint8_t *sealed, size_t *ret_size)
{
    uint8_t data[VAULT_STATE_MAX];
    struct seal_ad ad;
    size_t n = state_encode(state, data);
    int r;

    memcpy(sealed, MAGIC, 4);
    sealed[4] = VAULT_FORMAT;
    associated_data(&ad, place);
    r = seal_box(state_key, &ad, data, n, sealed + STATE_HEADER_SIZE);
    if (r < 0)
        return r;
    *ret_size = STATE_HEADER_SIZE + SEAL_OVERHEAD + n;
    return 0;
}

int state_open(const struct secret *state_key, const struct record_place *place, const uint8_t *sealed, size_t size,
               struct state *ret)
{
    uint8_t data[VAULT_STATE_MAX];
    struct seal_ad ad;
    int r;

    if (size < STATE_HEADER_SIZE + SEAL_OVERHEAD || size > STATE_SEALED_MAX || memcmp(sealed, MAGIC, 4) != 0 ||
        sealed[4] != VAULT_FORMAT)
        return -EBADMSG;
    associated_data(&ad, place);
    r = open_box(state_key, &ad, sealed + STATE_HEADER_SIZE, size - STATE_HEADER_SIZE, data);
    if (r >= 0)
        r = state_decode(data, size - STATE_HEADER_SIZE - SEAL_OVERHEAD, ret);
    return r;
}
