/* pack: writes a map as MessagePack to standard output. pack -: reads an array of numbers and prints their sum. */
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

static int sum(void) {
  static char data[1 << 16];
  size_t size = fread(data, 1, sizeof data, stdin);
  msgpack_unpacked result;
  msgpack_unpacked_init(&result);
  if (msgpack_unpack_next(&result, data, size, NULL) != MSGPACK_UNPACK_SUCCESS) return 1;
  if (result.data.type != MSGPACK_OBJECT_ARRAY) return 2;
  long long total = 0;
  for (uint32_t i = 0; i < result.data.via.array.size; i++) total += result.data.via.array.ptr[i].via.i64;
  printf("%lld\n", total);
  msgpack_unpacked_destroy(&result);
  return 0;
}

static void text(msgpack_packer *packer, const char *word) {
  msgpack_pack_str(packer, strlen(word));
  msgpack_pack_str_body(packer, word, strlen(word));
}

int main(int count, char **words) {
  if (count > 1 && !strcmp(words[1], "-")) return sum();
  msgpack_sbuffer buffer;
  msgpack_sbuffer_init(&buffer);
  msgpack_packer packer;
  msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
  msgpack_pack_map(&packer, 3);
  text(&packer, "text");
  text(&packer, "gr\xc3\xbc\xc3\x9f");
  text(&packer, "list");
  msgpack_pack_array(&packer, 3);
  msgpack_pack_int64(&packer, -1);
  msgpack_pack_uint64(&packer, 18446744073709551615ull);
  msgpack_pack_double(&packer, 0.1);
  text(&packer, "bytes");
  msgpack_pack_bin(&packer, 3);
  msgpack_pack_bin_body(&packer, "\0\1\2", 3);
  fwrite(buffer.data, 1, buffer.size, stdout);
  msgpack_sbuffer_destroy(&buffer);
  return 0;
}
