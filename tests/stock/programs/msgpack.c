/* Packs a map, compares the bytes with those that the MessagePack specification gives, unpacks it. Prints "msgpack OK". */
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what) {
    fprintf(stderr, "msgpack: %s\n", what);
    return 1;
}

int main(void) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1); /* {"a": [1, -1, 0.5]} */
    msgpack_pack_str(&packer, 1);
    msgpack_pack_str_body(&packer, "a", 1);
    msgpack_pack_array(&packer, 3);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_int(&packer, -1);
    msgpack_pack_double(&packer, 0.5);

    static const char expected[] = "\x81\xa1\x61\x93\x01\xff\xcb\x3f\xe0\0\0\0\0\0\0";
    if (buffer.size != sizeof expected - 1 || memcmp(buffer.data, expected, buffer.size) != 0) return fail("other bytes");

    msgpack_unpacked result;
    msgpack_unpacked_init(&result);
    if (msgpack_unpack_next(&result, buffer.data, buffer.size, NULL) != MSGPACK_UNPACK_SUCCESS) return fail("does not unpack");
    if (result.data.type != MSGPACK_OBJECT_MAP || result.data.via.map.size != 1) return fail("not a map of one");
    msgpack_object value = result.data.via.map.ptr[0].val;
    if (value.type != MSGPACK_OBJECT_ARRAY || value.via.array.size != 3) return fail("not an array of three");
    msgpack_object *item = value.via.array.ptr;
    if (item[0].via.u64 != 1 || item[1].via.i64 != -1 || item[2].via.f64 != 0.5) return fail("other values");

    msgpack_unpacked_destroy(&result);
    msgpack_sbuffer_destroy(&buffer);
    puts("msgpack OK");
    return 0;
}
