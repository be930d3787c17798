#include "element.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct element {
  redisContext *redis;
  pthread_mutex_t one_at_a_time; /* only one thread at a time may use a connection of hiredis */
};

struct element *element_open(const char *socket) {
  redisContext *redis = redisConnectUnix(socket);
  struct element *element = malloc(sizeof *element);
  if (!element || !redis || redis->err) {
    if (redis) redisFree(redis);
    free(element);
    return NULL;
  }
  element->redis = redis;
  pthread_mutex_init(&element->one_at_a_time, NULL);
  return element;
}

void element_close(struct element *element) {
  redisFree(element->redis);
  pthread_mutex_destroy(&element->one_at_a_time);
  free(element);
}

static redisReply *asked(struct element *element, int count, const char **words, const size_t *sizes) {
  pthread_mutex_lock(&element->one_at_a_time);
  redisReply *reply = redisCommandArgv(element->redis, count, words, sizes);
  pthread_mutex_unlock(&element->one_at_a_time);
  return reply;
}

int element_write(struct element *element, const char *stream, const void *data, size_t size) {
  const char *words[] = {"XADD", stream, "*", "data", data};
  const size_t sizes[] = {4, strlen(stream), 1, 4, size};
  redisReply *reply = asked(element, 5, words, sizes);
  int added = reply && reply->type == REDIS_REPLY_STRING;
  freeReplyObject(reply);
  return added ? 0 : -1;
}

long element_newest(struct element *element, const char *stream, void *data, size_t capacity) {
  const char *words[] = {"XREVRANGE", stream, "+", "-", "COUNT", "1"};
  redisReply *reply = asked(element, 6, words, NULL);
  long size = -1;
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) {
    const redisReply *fields = reply->element[0]->element[1];
    const redisReply *value = fields->element[1];
    if (value->len <= capacity) {
      memcpy(data, value->str, value->len);
      size = (long)value->len;
    }
  }
  freeReplyObject(reply);
  return size;
}

long element_count(struct element *element, const char *stream) {
  const char *words[] = {"XLEN", stream};
  redisReply *reply = asked(element, 2, words, NULL);
  long count = reply && reply->type == REDIS_REPLY_INTEGER ? (long)reply->integer : -1;
  freeReplyObject(reply);
  return count;
}
