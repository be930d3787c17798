/* stream SOCKET IN OUT: reads the stream IN and appends each entry's "n", doubled, to the stream OUT. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
  if (count != 4) return 64;
  redisContext *redis = redisConnectUnix(words[1]);
  if (!redis || redis->err) return 1;
  redisReply *range = redisCommand(redis, "XRANGE %s - +", words[2]);
  if (!range || range->type != REDIS_REPLY_ARRAY) return 2;
  for (size_t i = 0; i < range->elements; i++) {
    redisReply *fields = range->element[i]->element[1];
    long n = strtol(fields->element[1]->str, NULL, 10);
    redisReply *added = redisCommand(redis, "XADD %s * n %ld", words[3], 2 * n);
    if (!added || added->type != REDIS_REPLY_STRING) return 3;
    freeReplyObject(added);
  }
  printf("%zu\n", range->elements);
  freeReplyObject(range);
  redisFree(redis);
  return 0;
}
