/* An element in C, as a shared library: it writes entries to streams of a Redis server, and reads the newest one. */
#ifndef ELEMENT_H
#define ELEMENT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct element;

/* Connect to the server at a Unix socket. Return NULL if nothing answers there. */
struct element *element_open(const char *socket);

/* End the connection. */
void element_close(struct element *element);

/* Append an entry with the field "data" to a stream. Return 0, or -1 if the server refuses. Threads may share an element. */
int element_write(struct element *element, const char *stream, const void *data, size_t size);

/* Copy "data" of the newest entry. Return its size, or -1 if there is no entry or it is longer than the capacity. */
long element_newest(struct element *element, const char *stream, void *data, size_t capacity);

/* Return the number of entries of a stream, or -1 if the server refuses. */
long element_count(struct element *element, const char *stream);

#ifdef __cplusplus
}
#endif
#endif
