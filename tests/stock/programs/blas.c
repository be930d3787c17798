/* Multiplies matrices through CBLAS: a small one by hand, one large enough for threads and blocked kernels, and a dot
   product. All values are small integers, so every result is exact. Prints "blas OK". */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 300 };

static int fail(const char *what) {
    fprintf(stderr, "blas: %s\n", what);
    return 1;
}

int main(void) {
    const double a[] = {1, 2, 3, 4, 5, 6};    /* 2 x 3 */
    const double b[] = {7, 8, 9, 10, 11, 12}; /* 3 x 2 */
    double c[] = {1, 1, 1, 1};
    const double expected[] = {2 * 58 + 3, 2 * 64 + 3, 2 * 139 + 3, 2 * 154 + 3};
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 2, 2, 3, 2.0, a, 3, b, 2, 3.0, c, 2);
    for (int i = 0; i < 4; i++)
        if (c[i] != expected[i]) return fail("dgemm 2 x 3 x 2");

    double *x = malloc(sizeof *x * N * N), *y = malloc(sizeof *y * N * N), *z = malloc(sizeof *z * N * N);
    if (!x || !y || !z) return fail("out of memory");
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            x[i * N + j] = (i * 7 + j * 3) % 11 - 5;
            y[i * N + j] = (i * 5 + j * 2) % 13 - 6;
        }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1.0, x, N, y, N, 0.0, z, N);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++) sum += x[i * N + k] * y[j * N + k];
            if (z[i * N + j] != sum) return fail("dgemm 300 x 300 x 300");
        }
    if (cblas_ddot(3, a, 1, b, 2) != 1 * 7 + 2 * 9 + 3 * 11) return fail("ddot");
    free(x), free(y), free(z);
    puts("blas OK");
    return 0;
}
