/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The formats that people have, from bytes that makers and users published: found without being named, and decoded. */

#include "ble-sample.h"

#include <nettle/aes.h>
#include <nettle/ccm.h>

#define BTHOME "231d39c1d7cc1ab1aee224cd096db932"
#define BTHOME_MAC "54:48:E6:8F:80:A5"
#define SHELLY "90bffd73cb6b26ef58a7a8eba9232036"
#define MIBEACON "e9ea895fac7cca6d30532432a516f3a8"
#define PVVX "b9ea895fac7eea6d30532432a516f3a3"
#define PVVX_MAC "A4:C1:38:8D:18:B2"
#define VICTRON "aff4d0995b7d1e176c0c33ecb9e70dcd"

static const struct {
    const char *sentence;
    const char *source;
    const char *address, *key, *name;
    const char *format;
    enum decoder_result result;
    long long sequence, counter; /* -1: none */
    const char *values;
} rows[] = {
    {"BTHome is decrypted with the advertisement's address", "s:fcd2:41A47266C95F730011223378237214", BTHOME_MAC,
     BTHOME, NULL, "bthome", DECODED, -1, 0x33221100, "temperature=25.06 humidity=50.55"},
    {"BTHome is decrypted with the address inside", "s:fcd2:43a5808fe64854f196c06ffb4900112233f08ecbde", NULL, BTHOME,
     NULL, "bthome", DECODED, -1, 0x33221100, "temperature=25.06 humidity=50.55"},
    {"BTHome says that something moves", "s:fcd2:4187b90011223372b0231f", BTHOME_MAC, BTHOME, NULL, "bthome", DECODED,
     -1, 0x33221100, "motion=true"},
    {"a Shelly BLU Button is pressed", "s:fcd2:450aeb84467f85ba0100003188788c", "B4:35:22:F5:3D:A4", SHELLY, NULL,
     "bthome", DECODED, 7, 442, "battery=100 button=press"},
    {"a Shelly BLU H&T speaks in the clear", "s:fcd2:40002e01641e012e34451601", NULL, NULL, NULL, "bthome", DECODED, 46,
     -1, "battery=100 light=true humidity=52 temperature=27.8"},
    {"what is in the clear is not believed once there is a key", "s:fcd2:40002e01641e012e34451601", NULL, SHELLY, NULL,
     "bthome", DECODER_PLAIN_AFTER_KEY, -1, -1, ""},
    {"what is in the clear is not believed in another format either", "s:181a:f4830238c1a4a9066911b60b58f70d", NULL,
     SHELLY, NULL, "pvvx", DECODER_PLAIN_AFTER_KEY, -1, -1, ""},
    {"another key gives no values", "s:fcd2:41A47266C95F730011223378237214", BTHOME_MAC, SHELLY, NULL, "bthome",
     DECODER_WRONG_KEY, -1, -1, ""},
    {"another sensor's address gives no values", "s:fcd2:41A47266C95F730011223378237214", "54:48:E6:8F:80:A6", BTHOME,
     NULL, "bthome", DECODER_WRONG_KEY, -1, -1, ""},
    {"the highest counter is a number as others", "s:fcd2:41ba0db07aeef6ffffffff21fd4600", BTHOME_MAC, BTHOME, NULL,
     "bthome", DECODED, -1, 0xffffffff, NULL},
    {"a RuuviTag of format 5 is read", "0499:0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F", NULL, NULL, NULL,
     "ruuvi-5", DECODED, 205, -1,
     "temperature=24.3 humidity=53.49 pressure=100044 acceleration_x=0.004 acceleration_y=-0.004 acceleration_z=1.036 "
     "voltage=2.977 tx_power=4 movements=66"},
    {"a RuuviTag of format 5 at its highest", "0499:057FFFFFFEFFFE7FFF7FFF7FFFFFDEFEFFFECBB8334C884F", NULL, NULL, NULL,
     "ruuvi-5", DECODED, 65534, -1,
     "temperature=163.835 humidity=163.835 pressure=115534 acceleration_x=32.767 acceleration_y=32.767 "
     "acceleration_z=32.767 voltage=3.646 tx_power=20 movements=254"},
    {"a RuuviTag of format 5 at its lowest", "0499:058001000000008001800180010000000000CBB8334C884F", NULL, NULL, NULL,
     "ruuvi-5", DECODED, 0, -1,
     "temperature=-163.835 humidity=0 pressure=50000 acceleration_x=-32.767 acceleration_y=-32.767 "
     "acceleration_z=-32.767 voltage=1.6 tx_power=-40 movements=0"},
    {"a RuuviTag that measures nothing gives nothing", "0499:058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF", NULL,
     NULL, NULL, "ruuvi-5", DECODED, 65535, -1, ""},
    {"a RuuviTag of format 3 is read", "0499:03291A1ECE1EFC18F94202CA0B53", NULL, NULL, NULL, "ruuvi-3", DECODED, -1,
     -1,
     "humidity=20.5 temperature=26.3 pressure=102766 acceleration_x=-1 acceleration_y=-1.726 acceleration_z=0.714 "
     "voltage=2.899"},
    {"a Ruuvi Air of format 6 is read", "0499:06170C5668C79E007000C90501D9FFCD004C884F", NULL, NULL, NULL, "ruuvi-6",
     DECODED, 205, -1,
     "temperature=29.5 humidity=55.3 pressure=101102 pm2.5=11.2 co2=201 voc_index=10 nox_index=2 illuminance=13026.67"},
    {"a Ruuvi Air of format E1 is read",
     "0499:E1170C5668C79E0065007004BD11CA00C90A0213E0ACFFFFFFDECDEE01FFFFFFFFFFCBB8334C884F", NULL, NULL, NULL,
     "ruuvi-e1", DECODED, 14601710, -1,
     "temperature=29.5 humidity=55.3 pressure=101102 pm1=10.1 pm2.5=11.2 pm4=121.3 pm10=455.4 co2=201 voc_index=20 "
     "nox_index=4 illuminance=13027 calibrating=true"},
    {"a MiBeacon is decrypted", "s:fe95:58585b0550f4830238c1a495ef58763c26000097e2abb5", NULL, MIBEACON, NULL,
     "mibeacon", DECODED, -1, 0x2650, "humidity=46.7"},
    {"a MiBeacon in the clear is read", "s:fe95:5020aa01a3bf2e3b342d580d1004b40095020a10013b", NULL, NULL, NULL,
     "mibeacon", DECODED, 0xa3, -1, "temperature=18 humidity=66.1 battery=59"},
    {"the firmware ATC1441 is read", "s:181a:a4c1380283f400a22f5f0bf819", NULL, NULL, NULL, "atc1441", DECODED, 25, -1,
     "temperature=16.2 humidity=47 battery=95 voltage=3.064"},
    {"the firmware of pvvx is read", "s:181a:f4830238c1a4a9066911b60b58f70d", NULL, NULL, NULL, "pvvx", DECODED, 247,
     -1, "temperature=17.05 humidity=44.57 voltage=2.998 battery=88"},
    {"the firmware of pvvx is decrypted", "s:181a:11d603fbfa7b6dfb1e26fd", PVVX_MAC, PVVX, NULL, "pvvx-encrypted",
     DECODED, -1, 0x11, "temperature=23.45 humidity=41.73 battery=61"},
    {"a Victron SmartShunt is decrypted", "02e1:100289a302b040af925d09a4d89aa0128bdef48c6298a9", NULL, VICTRON, NULL,
     "victron-battery-monitor", DECODED, 0x40b0, -1,
     "voltage=12.53 alarm=0 current=0 consumed_charge=-50 state_of_charge=50"},
    {"a Govee H5075 is read", "ec88:000341c26400", NULL, NULL, "GVH5075_1234", "govee-h5075", DECODED, -1, -1,
     "temperature=21.3 humidity=44.2 battery=100"},
    {"a SwitchBot Meter is read", "s:fd3d:6900640098a6", NULL, NULL, NULL, "switchbot-meter", DECODED, -1, -1,
     "temperature=24 humidity=38 battery=100"},
    {"a SwitchBot Meter in the cold is read", "s:fd3d:6900ba031938", NULL, NULL, NULL, "switchbot-meter", DECODED, -1,
     -1, "temperature=-25.3 humidity=56 battery=58"},
    {"an Inkbird's company id is its temperature", "07fc:c71200c83d5606", NULL, NULL, "sps", "inkbird-th", DECODED, -1,
     -1, "temperature=20.44 humidity=48.07 battery=86"},
    {"a Mopeka is read", "0059:087043b6c3e0f509fae3", NULL, NULL, NULL, "mopeka", DECODED, -1, -1,
     "voltage=3.5 temperature=27 sync=false level_raw=950 quality=3"},
    {"a Sensirion SCD4x is read", "06d5:000867355367925c0b04", NULL, NULL, NULL, "sensirion", DECODED, -1, -1,
     "temperature=25.63 humidity=36.16 co2=1035"},
    {"a Sensirion SHT4x is read", "06d5:0006e2e7036a1c65", NULL, NULL, NULL, "sensirion", DECODED, -1, -1,
     "temperature=27.47 humidity=43.37"},
    {"a Qingping is read", "s:fdcd:08096f1c40342d580104be000d0207027226020157", NULL, NULL, NULL, "qingping", DECODED,
     -1, -1, "temperature=19 humidity=52.5 pressure=984.2 battery=87"},
    {"a ThermoBeacon is read", "0011:00002716000088063c0c8f01a103b9d70300", NULL, NULL, NULL, "thermobeacon", DECODED,
     -1, -1, "button=false voltage=3.132 temperature=24.94 humidity=58.06 uptime=251833"},
    {"a Tilt is read, not taken for any iBeacon", "004c:0215a495bb10c5b14b44b5121370f02d74de004403f8c5", NULL, NULL,
     NULL, "tilt", DECODED, -1, -1, "color=red temperature=20 temperature_f=68 specific_gravity=1.016"},
    {"an iBeacon is read", "004c:0215fda50693a4e24fb1afcfc6eb0764782500010002c5", NULL, NULL, NULL, "ibeacon", DECODED,
     -1, -1, "uuid=fda50693a4e24fb1afcfc6eb07647825 major=1 minor=2 measured_power=-59"},
    {"an Eddystone beacon's telemetry is read", "s:feaa:20000be5190000000abc000014d2", NULL, NULL, NULL,
     "eddystone-tlm", DECODED, -1, -1, "voltage=3.045 temperature=25 advertisements=2748 uptime=533"},
    {"a telephone is nobody's", "004c:10050318a2b1c4", NULL, NULL, NULL, NULL, DECODER_NOT_MINE, -1, -1, ""},
    {"no bytes are nobody's", "0499:", NULL, NULL, NULL, NULL, DECODER_NOT_MINE, -1, -1, ""},
};

static void check_row(const struct decoder_set *set, size_t i, struct decoded *d)
{
    char values[2048];
    struct sample s;

    sample_make(&s, rows[i].source, rows[i].address, rows[i].key);
    s.advert.name = rows[i].name;
    int r = decoder_decode(set, DECODER_AUTO, &s.advert, rows[i].key ? &s.key : NULL, NULL, 0, d);
    decoded_text(d, values, sizeof values);
    if (r != (int)rows[i].result)
        fail_msg("%s: %s", rows[i].sentence, decoder_result_name((enum decoder_result)r));
    if (!rows[i].format != !d->decoder || (d->decoder && strcmp(decoder_name(d->decoder), rows[i].format) != 0))
        fail_msg("%s: taken for %s", rows[i].sentence, d->decoder ? decoder_name(d->decoder) : "nothing");
    if (rows[i].values && strcmp(values, rows[i].values) != 0)
        fail_msg("%s:\n%s, not\n%s", rows[i].sentence, values, rows[i].values);
    if (rows[i].sequence >= 0 && (!d->has_sequence || d->sequence != (uint32_t)rows[i].sequence))
        fail_msg("%s: sequence %u", rows[i].sentence, d->sequence);
    if (rows[i].counter >= 0 && (!d->has_counter || d->counter != (uint32_t)rows[i].counter))
        fail_msg("%s: counter %u", rows[i].sentence, d->counter);
    if (rows[i].counter >= 0 && !d->encrypted)
        fail_msg("%s: is not said to be encrypted", rows[i].sentence);
}

static void test_rows(void **state)
{
    struct decoder_set *set = shipped_decoders();
    struct decoded *d = calloc(1, sizeof *d);

    (void)state;
    assert_non_null(d);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(set, i, d);
    free(d);
    decoder_set_free(set);
}

/* --- characteristics --- */

static const struct {
    const char *sentence;
    const char *uuid;
    const char *bytes;
    enum decoder_result result;
    const char *values;
} characteristics[] = {
    {"a temperature is read", "00002a6e-0000-1000-8000-00805f9b34fb", "7e08", DECODED, "temperature=21.74"},
    {"an unknown temperature is none", "2a6e", "0080", DECODED, ""},
    {"a humidity is read", "2A6F", "3e14", DECODED, "humidity=51.82"},
    {"a pressure is read", "2a6d", "f3760f00", DECODED, "pressure=101349.1"},
    {"a battery level is read", "2a19", "57", DECODED, "battery=87"},
    {"a battery level beyond 100 is none", "2a19", "65", DECODED, ""},
    {"a thermometer's measurement is read", "2a1c", "00700100ff", DECODED, "temperature=36.8"},
    {"a thermometer's measurement in Fahrenheit is converted", "2a1c", "01da0300ff", DECODED, "temperature=37"},
    {"a thermometer's measurement that is no number is none", "2a1c", "00ffff7f00", DECODED, ""},
    {"an illuminance is read", "2afb", "138a14", DECODED, "illuminance=13460.67"},
    {"an Airthings Wave Plus is read", "b42e2a68-ade7-11e4-89d3-123b93f75cba",
     "014a000035002f007e0822c4b502780000000000", DECODED,
     "humidity=37 radon=53 radon_long_term=47 temperature=21.74 pressure=1004.2 co2=693 voc=120"},
    {"a value that is cut short is none", "2a6e", "7e", DECODER_TRUNCATED, ""},
    {"a characteristic of somebody's own is nobody's", "12345678-1234-1234-1234-123456789abc", "00", DECODER_NOT_MINE,
     ""},
};

static void test_characteristics(void **state)
{
    struct decoder_set *set = shipped_decoders();
    struct decoded *d = calloc(1, sizeof *d);

    (void)state;
    assert_non_null(d);
    for (size_t i = 0; i < sizeof characteristics / sizeof characteristics[0]; i++) {
        uint8_t bytes[64];
        char values[1024];
        size_t n;
        assert_int_equal(bytes_from_hex(characteristics[i].bytes, bytes, sizeof bytes, &n), 0);
        int r = decoder_decode_characteristic(set, DECODER_AUTO, characteristics[i].uuid, bytes, n, d);
        decoded_text(d, values, sizeof values);
        if (r != (int)characteristics[i].result || strcmp(values, characteristics[i].values) != 0)
            fail_msg("%s: %s: %s", characteristics[i].sentence, decoder_result_name((enum decoder_result)r), values);
    }
    free(d);
    decoder_set_free(set);
}

/* --- what is heard again --- */

static int hear(const struct decoder_set *set, const char *source, struct counter_state *state, uint64_t seconds,
                struct decoded *d)
{
    struct sample s;

    sample_make(&s, source, NULL, NULL);
    return decoder_decode(set, DECODER_AUTO, &s.advert, NULL, state, seconds * 1000000, d);
}

static void test_repeated(void **state)
{
    struct decoder_set *set = shipped_decoders();
    struct decoded *d = calloc(1, sizeof *d);
    struct counter_state plain = {0}, button = {0}, quiet = {0};

    (void)state;
    assert_non_null(d);
    /* One with a packet number is known again for ever, and its event is not told twice. */
    assert_int_equal(hear(set, "s:fcd2:4000073a01", &plain, 0, d), DECODED);
    assert_int_equal(hear(set, "s:fcd2:4000073a01", &plain, 100, d), DECODER_DUPLICATE);
    assert_int_equal(d->n_values, 0);
    assert_int_equal(hear(set, "s:fcd2:4000083a01", &plain, 101, d), DECODED);
    assert_true(d->values[0].event);
    /* Without a number an event is the same one while it is repeated. */
    assert_int_equal(hear(set, "s:fcd2:443a01", &button, 0, d), DECODED);
    assert_int_equal(hear(set, "s:fcd2:443a01", &button, 2, d), DECODER_DUPLICATE);
    assert_int_equal(hear(set, "s:fcd2:443a01", &button, 4, d), DECODER_DUPLICATE);
    assert_int_equal(hear(set, "s:fcd2:443a01", &button, 8, d), DECODED);
    /* Values are told however often. */
    assert_int_equal(hear(set, "s:fcd2:4002ca09", &quiet, 0, d), DECODED);
    assert_int_equal(hear(set, "s:fcd2:4002ca09", &quiet, 1, d), DECODED);
    assert_int_equal(d->n_values, 1);
    free(d);
    decoder_set_free(set);
}

/* --- an encrypted sensor's life --- */

#define FRAME_BYTES 12

/* A temperature, as the sensor with this key and BTHOME_MAC seals it. */
static void seal(uint32_t counter, int16_t temperature, uint8_t frame[FRAME_BYTES])
{
    uint8_t nonce[13] = {0, 0, 0, 0, 0, 0, 0xd2, 0xfc, 0x41},
            plain[3] = {0x02, (uint8_t)temperature, (uint8_t)(temperature >> 8)};
    uint8_t key[16], sealed[7];
    struct ccm_aes128_ctx ctx;
    size_t n;

    assert_int_equal(address_parse(BTHOME_MAC, nonce), 0);
    assert_int_equal(bytes_from_hex(BTHOME, key, sizeof key, &n), 0);
    for (size_t i = 0; i < 4; i++)
        nonce[9 + i] = (uint8_t)(counter >> (8 * i));
    ccm_aes128_set_key(&ctx, key);
    ccm_aes128_encrypt_message(&ctx, sizeof nonce, nonce, 0, NULL, 4, sizeof sealed, sealed, plain);
    frame[0] = 0x41;
    memcpy(frame + 1, sealed, 3);
    memcpy(frame + 4, nonce + 9, 4);
    memcpy(frame + 8, sealed + 3, 4);
}

static int hear_sealed(const struct decoder_set *set, const uint8_t frame[FRAME_BYTES], struct counter_state *state,
                       uint64_t seconds, struct decoded *d)
{
    struct sample s;

    sample_make(&s, "s:fcd2:", BTHOME_MAC, BTHOME);
    s.service.bytes = frame;
    s.service.n = FRAME_BYTES;
    return decoder_decode(set, DECODER_AUTO, &s.advert, &s.key, state, seconds * 1000000, d);
}

static void test_a_thousand_recorded_ones_are_dropped_and_a_new_battery_is_not(void **state)
{
    struct decoder_set *set = shipped_decoders();
    struct decoded *d = calloc(1, sizeof *d);
    static uint8_t recorded[1000][FRAME_BYTES];
    struct counter_state counter = {0};
    uint64_t now = 0;

    (void)state;
    assert_non_null(d);
    for (uint32_t i = 0; i < 1000; i++, now += 10) {
        seal(7000 + i, (int16_t)i, recorded[i]);
        assert_int_equal(hear_sealed(set, recorded[i], &counter, now, d), DECODED);
        assert_true(d->values[0].value.d == i / 100.0);
        assert_int_equal(hear_sealed(set, recorded[i], &counter, now + 1, d), DECODER_DUPLICATE);
    }
    for (uint64_t wait = 0; wait <= 3600; wait += 3600)
        for (uint32_t i = 0; i < 999; i++, now += 10) {
            assert_int_equal(hear_sealed(set, recorded[i], &counter, now + wait, d), DECODER_REPLAY_OR_HELD);
            assert_int_equal(d->n_values, 0);
        }
    now += 3700;
    for (uint32_t i = 0; i < 4; i++, now += 10) {
        uint8_t frame[FRAME_BYTES];
        seal(i, 2000, frame);
        int r = hear_sealed(set, frame, &counter, now, d);
        assert_int_equal(r, i < 2 ? DECODER_REPLAY_OR_HELD : DECODED);
        assert_int_equal(d->restarted, i == 2);
    }
    free(d);
    decoder_set_free(set);
}

static void test_the_more_particular_format_goes_first(void **state)
{
    static const char text[] =
        "{\"match\": {\"company\": \"0x1234\", \"bytes\": {\"0\": \"%s\"}}, \"fields\": "
        "[{\"name\": \"v\", \"type\": \"uint8\"}], \"vectors\": [{\"manufacturer\": {\"0x1234\": "
        "\"010203\"}, \"values\": {\"v\": 1}}]}";
    static const char *const beginnings[] = {"01", "010203", "0102"}, *const names[] = {"a", "b", "c"};
    struct decoder_set *set = decoder_set_new();
    struct decoded *d = calloc(1, sizeof *d);
    struct sample s;

    (void)state;
    assert_true(set && d);
    for (size_t i = 0; i < 3; i++) {
        char file[512];
        (void)snprintf(file, sizeof file, text, beginnings[i]);
        assert_int_equal(decoder_set_add_text(set, names[i], "x", file, strlen(file), sample_complain, NULL), 0);
    }
    sample_make(&s, "1234:010203", NULL, NULL);
    assert_int_equal(decoder_decode(set, DECODER_AUTO, &s.advert, NULL, NULL, 0, d), DECODED);
    assert_string_equal(decoder_name(d->decoder), "b");
    free(d);
    decoder_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_characteristics),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_a_thousand_recorded_ones_are_dropped_and_a_new_battery_is_not),
        cmocka_unit_test(test_the_more_particular_format_goes_first),
    };

    return cmocka_run_group_tests_name("ble-formats", tests, NULL, NULL);
}
