/** Linear systems, small ones. */

/** X of `matrix` X = `right`, row by row, by elimination with pivoting; not finite where the matrix is singular. */
export function solve(matrix, right) {
  const rows = matrix.map((row, i) => Float64Array.from([...row, ...right[i]]));
  const count = rows.length;
  for (let k = 0; k < count; k++) {
    let pivot = k;
    for (let i = k + 1; i < count; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[pivot][k])) pivot = i;
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    const top = rows[k];
    const scale = 1 / top[k];
    for (let j = k; j < top.length; j++) top[j] *= scale;
    for (let i = 0; i < count; i++) {
      const factor = rows[i][k];
      if (i === k || factor === 0) continue;
      for (let j = k; j < top.length; j++) rows[i][j] -= factor * top[j];
    }
  }
  return rows.map((row) => row.subarray(count));
}
