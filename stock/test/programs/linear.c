/* Solves A x = b by LAPACKE and multiplies back by CBLAS; prints the largest error of x and of A x. */
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 60 };

int main(void) {
  static double a[N * N], lu[N * N], x[N], b[N], back[N];
  lapack_int pivots[N];
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) a[i * N + j] = lu[i * N + j] = 1.0 / (1 + abs(i - j)) + (i == j ? 2 : 0);
    x[i] = 1 + i % 7;
  }
  cblas_dgemv(CblasRowMajor, CblasNoTrans, N, N, 1, a, N, x, 1, 0, b, 1);
  double solution[N];
  for (int i = 0; i < N; i++) solution[i] = b[i];
  if (LAPACKE_dgesv(LAPACK_ROW_MAJOR, N, 1, lu, N, pivots, solution, 1) != 0) return 1;
  cblas_dgemv(CblasRowMajor, CblasNoTrans, N, N, 1, a, N, solution, 1, 0, back, 1);
  double error = 0, residual = 0;
  for (int i = 0; i < N; i++) {
    error = fmax(error, fabs(solution[i] - x[i]));
    residual = fmax(residual, fabs(back[i] - b[i]));
  }
  printf("%g %g\n", error, residual);
  return 0;
}
