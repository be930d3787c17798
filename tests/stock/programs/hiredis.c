/* Talks to the Redis at 127.0.0.1:PORT (first argument): a string, then an entry through a stream. Prints "hiredis OK". */
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *why) {
    fprintf(stderr, "hiredis: %s: %s\n", what, why);
    exit(1);
}

static void expect(const char *what, const redisReply *reply, const char *value) {
    if (!reply || !reply->str || strcmp(reply->str, value) != 0) fail(what, reply && reply->str ? reply->str : "no string");
}

static redisReply *command(redisContext *redis, const char *text) {
    redisReply *reply = redisCommand(redis, text);
    if (!reply) fail(text, redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) fail(text, reply->str);
    return reply;
}

/* The n-th element of an array, which must be there. */
static redisReply *at(const redisReply *array, size_t n) {
    if (array->type != REDIS_REPLY_ARRAY || array->elements <= n) fail("XREAD", "not the expected arrays");
    return array->element[n];
}

int main(int argc, char **argv) {
    if (argc != 2) fail("usage", "hiredis PORT");
    redisContext *redis = redisConnect("127.0.0.1", atoi(argv[1]));
    if (!redis || redis->err) fail("connect", redis ? redis->errstr : "out of memory");

    expect("SET", command(redis, "SET atom:test answer"), "OK");
    expect("GET", command(redis, "GET atom:test"), "answer");

    command(redis, "DEL atom:stream");
    expect("XADD", command(redis, "XADD atom:stream 1-1 field value"), "1-1");
    /* [[stream, [[id, [field, value]]]]] */
    redisReply *entry = at(at(at(command(redis, "XREAD COUNT 1 STREAMS atom:stream 0"), 0), 1), 0);
    expect("XREAD id", at(entry, 0), "1-1");
    expect("XREAD field", at(at(entry, 1), 0), "field");
    expect("XREAD value", at(at(entry, 1), 1), "value");

    redisFree(redis);
    puts("hiredis OK");
    return 0;
}
