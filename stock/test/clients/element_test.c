/* element_test SOCKET: tests the shared library against a server. It names the first line that is wrong. */
#include "element.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(truth)                                              \
  do {                                                            \
    if (!(truth)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #truth); \
      exit(1);                                                    \
    }                                                             \
  } while (0)

enum { THREADS = 4, ENTRIES = 50, PICTURE = 3 * 640 * 480 };

static void *written(void *element) {
  for (int i = 0; i < ENTRIES; i++) CHECK(element_write(element, "threads", &i, sizeof i) == 0);
  return NULL;
}

int main(int count, char **words) {
  CHECK(count == 2);
  CHECK(!element_open("/nonexistent"));
  struct element *element = element_open(words[1]);
  CHECK(element);

  char text[8];
  CHECK(element_newest(element, "empty", text, sizeof text) == -1);
  CHECK(element_write(element, "bytes", "a\0\r\n\xff", 5) == 0);
  CHECK(element_newest(element, "bytes", text, 4) == -1);
  CHECK(element_newest(element, "bytes", text, sizeof text) == 5);
  CHECK(!memcmp(text, "a\0\r\n\xff", 5));

  unsigned char *picture = malloc(PICTURE), *back = malloc(PICTURE);
  CHECK(picture && back);
  for (int i = 0; i < PICTURE; i++) picture[i] = (unsigned char)(i % 251);
  CHECK(element_write(element, "picture", picture, PICTURE) == 0);
  CHECK(element_newest(element, "picture", back, PICTURE) == PICTURE);
  CHECK(!memcmp(picture, back, PICTURE));
  free(picture);
  free(back);

  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, written, element));
  for (int i = 0; i < THREADS; i++) CHECK(!pthread_join(threads[i], NULL));
  CHECK(element_count(element, "threads") == THREADS * ENTRIES);

  element_close(element);
  puts("element OK");
  return 0;
}
