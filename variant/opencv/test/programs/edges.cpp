// Reads a picture from standard input; prints its size, how many pixels are on edges, and the sum of what a blur gives.
#include <cstdio>
#include <iterator>
#include <iostream>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

int main() {
  std::vector<char> bytes{std::istreambuf_iterator<char>(std::cin), {}};
  cv::Mat picture = cv::imdecode(bytes, cv::IMREAD_GRAYSCALE), edges, blurred;
  if (picture.empty()) return 1;
  cv::Canny(picture, edges, 50, 150);
  cv::GaussianBlur(picture, blurred, {5, 5}, 1.0);
  std::printf("%d %d %d %.0f\n", picture.cols, picture.rows, cv::countNonZero(edges), cv::sum(blurred)[0]);
}
