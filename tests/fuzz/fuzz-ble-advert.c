/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any advertisement, against all shipped decoders, with and without a key: in bounds, and only values that the contract
 * allows. */

#include "ble/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct decoder_set *set;

static const char *const services[] = {"fcd2", "fe95", "181a", "fd3d", "fdcd", "feaa", "2a6e", "x"};
static const uint16_t companies[] = {0x0499, 0x02e1, 0xec88, 0x0059, 0x06d5, 0x0011, 0x004c, 0x0001};
static const char *const characteristics[] = {"2a6e", "2a1c", "2a37", "2a24", "b42e2a68-ade7-11e4-89d3-123b93f75cba"};

static void check(bool good)
{
    if (!good)
        abort();
}

static void complain(void *context, const char *path, const char *place, const char *message)
{
    (void)context;
    (void)path;
    (void)place;
    (void)message;
    abort();
}

static void check_decoded(int result, const struct decoded *d)
{
    check(result == DECODED || result == DECODER_STOPPED || result == DECODER_TRUNCATED || d->n_values == 0);
    for (size_t i = 0; i < d->n_values; i++) {
        const struct decoded_value *v = &d->values[i];
        check(v->name[0] && strlen(v->name) <= 64);
        check(v->value.type != GATEHOUSE_DOUBLE || isfinite(v->value.d));
        check(v->value.type != GATEHOUSE_STRING || strlen(v->value.s) <= FIELD_TEXT_MAX);
    }
}

static void load(void)
{
    static const char *const directories[] = {BLE_DECODERS};

    if (!set)
        check(decoder_set_load(directories, 1, complain, NULL, &set) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoded d;
    struct counter_state state = {0};
    struct bind_key key = {.n = 16};
    uint8_t *bytes;

    if (size < 2)
        return 0;
    load();
    /* A copy of its own length shows what is read behind it. */
    bytes = malloc(size - 2 ? size - 2 : 1);
    check(bytes);
    memcpy(bytes, data + 2, size - 2);
    memset(key.bytes, data[1], sizeof key.bytes);
    struct advert_service service = {services[data[0] % 8], bytes, size - 2};
    struct advert_manufacturer manufacturer = {companies[data[0] % 8], bytes, size - 2};
    if (data[1] & 1)
        manufacturer.company = (uint16_t)(data[1] << 8 | data[0]);
    struct advert advert = {.address = data[1] & 2 ? "A4:C1:38:02:83:F4" : "nonsense",
                            .name = data[1] & 4 ? "sps" : NULL,
                            .rssi = ADVERT_POWER_NONE,
                            .tx_power = ADVERT_POWER_NONE,
                            .service = &service,
                            .n_service = data[0] >> 7,
                            .manufacturer = &manufacturer,
                            .n_manufacturer = !(data[0] >> 7)};
    const char *format = decoder_name(decoder_set_at(set, data[0] % decoder_set_count(set)));
    for (uint64_t now = 0; now < 2; now++) {
        int r = decoder_decode(set, DECODER_AUTO, &advert, data[1] & 8 ? &key : NULL, &state, now, &d);
        check_decoded(r, &d);
        check(!(data[1] & 8) || d.n_values == 0 || d.encrypted);
    }
    check_decoded(decoder_decode(set, format, &advert, NULL, NULL, 0, &d), &d);
    check_decoded(decoder_decode_characteristic(set, DECODER_AUTO, characteristics[data[0] % 5], bytes, size - 2, &d),
                  &d);
    free(bytes);
    return 0;
}
