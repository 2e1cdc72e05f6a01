/* The operations whose lanes are independent: OP(name, id, type of the result, types of the sources, value).
 * The value is an expression in a, b and c. Included several times, by ptx_ops.c only. */

/* ---- Integers. Unsigned arithmetic where signed overflow would be undefined in C. ---------------------- */
#define INTEGER(s, u)                                                                                        \
    OP("add." #s, add_##s, s, s, s, none, (t_##s)((t_##u)a + (t_##u)b))                                      \
    OP("sub." #s, sub_##s, s, s, s, none, (t_##s)((t_##u)a - (t_##u)b))                                      \
    OP("mul.lo." #s, mul_##s, s, s, s, none, (t_##s)((t_##u)a * (t_##u)b))                                   \
    OP("mad.lo." #s, mad_##s, s, s, s, s, (t_##s)((t_##u)a * (t_##u)b + (t_##u)c))                           \
    OP("min." #s, min_##s, s, s, s, none, a < b ? a : b)                                                     \
    OP("max." #s, max_##s, s, s, s, none, a > b ? a : b)
INTEGER(s32, u32)
INTEGER(u32, u32)
INTEGER(s64, u64)
INTEGER(u64, u64)
OP("div.u32", div_u32, u32, u32, u32, none, b ? a / b : ~0u)
OP("rem.u32", rem_u32, u32, u32, u32, none, b ? a % b : a)
OP("div.s32", div_s32, s32, s32, s32, none, divide_s32(a, b))
OP("rem.s32", rem_s32, s32, s32, s32, none, b == 0 ? a : b == -1 ? 0 : a % b)
OP("div.u64", div_u64, u64, u64, u64, none, b ? a / b : ~(t_u64)0)
OP("rem.u64", rem_u64, u64, u64, u64, none, b ? a % b : a)
OP("div.s64", div_s64, s64, s64, s64, none, divide_s64(a, b))
OP("rem.s64", rem_s64, s64, s64, s64, none, b == 0 ? a : b == -1 ? 0 : a % b)
OP("neg.s32", neg_s32, s32, s32, none, none, (t_s32)(0 - (t_u32)a))
OP("neg.s64", neg_s64, s64, s64, none, none, (t_s64)(0 - (t_u64)a))
OP("abs.s32", abs_s32, s32, s32, none, none, (t_s32)(a < 0 ? 0 - (t_u32)a : (t_u32)a))
OP("abs.s64", abs_s64, s64, s64, none, none, (t_s64)(a < 0 ? 0 - (t_u64)a : (t_u64)a))
OP("mul.hi.u32", mul_hi_u32, u32, u32, u32, none, (t_u32)((t_u64)a *b >> 32))
OP("mul.hi.s32", mul_hi_s32, s32, s32, s32, none, (t_s32)((t_s64)a *b >> 32))
OP("mul.hi.u64", mul_hi_u64, u64, u64, u64, none, multiply_high(a, b))
OP("mul.wide.u32", mul_wide_u32, u64, u32, u32, none, (t_u64)a *b)
OP("mul.wide.s32", mul_wide_s32, s64, s32, s32, none, (t_s64)a *b)
OP("mul.wide.u16", mul_wide_u16, u32, u32, u32, none, HALF(a) * HALF(b))
OP("mul.wide.s16", mul_wide_s16, s32, u32, u32, none, (int16_t)a *(int16_t)b)
OP("mad.wide.u32", mad_wide_u32, u64, u32, u32, u64, (t_u64)a *b + c)
OP("mad.wide.s32", mad_wide_s32, s64, s32, s32, s64, (t_s64)((t_u64)((t_s64)a *b) + (t_u64)c))
OP("mad.hi.u32", mad_hi_u32, u32, u32, u32, u32, (t_u32)((t_u64)a *b >> 32) + c)

/* ---- Bits ---------------------------------------------------------------------------------------------- */
#define BITS(w)                                                                                              \
    OP("and.b" #w, and_b##w, u##w, u##w, u##w, none, a &b)                                                   \
    OP("or.b" #w, or_b##w, u##w, u##w, u##w, none, a | b)                                                    \
    OP("xor.b" #w, xor_b##w, u##w, u##w, u##w, none, a ^ b)                                                  \
    OP("not.b" #w, not_b##w, u##w, u##w, none, none, ~a)                                                     \
    OP("mov.b" #w, mov_b##w, u##w, u##w, none, none, a)                                                      \
    OP("shl.b" #w, shl_b##w, u##w, u##w, u32, none, b < w ? a << (b & (w - 1)) : 0)                          \
    OP("shr.u" #w, shr_u##w, u##w, u##w, u32, none, b < w ? a >> (b & (w - 1)) : 0)                          \
    OP("shr.s" #w, shr_s##w, s##w, s##w, u32, none, a >> (b < w - 1 ? b : w - 1))                            \
    OP("selp.b" #w, selp_b##w, u##w, u##w, u##w, pred, c ? a : b)
BITS(32)
BITS(64)
OP("popc.b32", popc_b32, u32, u32, none, none, (t_u32)__builtin_popcount(a))
OP("popc.b64", popc_b64, u32, u64, none, none, (t_u32)__builtin_popcountll(a))
OP("clz.b32", clz_b32, u32, u32, none, none, a ? (t_u32)__builtin_clz(a) : 32)
OP("clz.b64", clz_b64, u32, u64, none, none, a ? (t_u32)__builtin_clzll(a) : 64)
OP("brev.b32", brev_b32, u32, u32, none, none, reverse_bits(a))
OP("bfe.u32", bfe_u32, u32, u32, u32, u32, extract_bits(a, b, c))
OP("bfe.s32", bfe_s32, s32, s32, u32, u32, extract_signed(a, b, c))
OP("prmt.b32", prmt_b32, u32, u32, u32, u32, permute_bytes(a, b, c))
OP("shf.l.wrap.b32", shf_l_wrap, u32, u32, u32, u32, (t_u32)(JOIN(b, a) << (c & 31) >> 32))
OP("shf.r.wrap.b32", shf_r_wrap, u32, u32, u32, u32, (t_u32)(JOIN(b, a) >> (c & 31)))
OP("shf.l.clamp.b32", shf_l_clamp, u32, u32, u32, u32, (t_u32)(JOIN(b, a) << (c < 32 ? c : 32) >> 32))
OP("shf.r.clamp.b32", shf_r_clamp, u32, u32, u32, u32, (t_u32)(JOIN(b, a) >> (c < 32 ? c : 32)))

/* ---- 16 bits, held zero-extended ----------------------------------------------------------------------- */
OP("add.s16", add_s16, u16, u16, u16, none, HALF(a + b))
OP("sub.s16", sub_s16, u16, u16, u16, none, HALF(a - b))
OP("mul.lo.s16", mul_s16, u16, u16, u16, none, HALF(a *b))
OP("and.b16", and_b16, u16, u16, u16, none, a &b)
OP("or.b16", or_b16, u16, u16, u16, none, a | b)
OP("xor.b16", xor_b16, u16, u16, u16, none, a ^ b)
OP("not.b16", not_b16, u16, u16, none, none, HALF(~a))
OP("mov.b16", mov_b16, u16, u16, none, none, HALF(a))
OP("shl.b16", shl_b16, u16, u16, u32, none, b < 16 ? HALF(a << (b & 15)) : 0)
OP("shr.u16", shr_u16, u16, u16, u32, none, b < 16 ? HALF(a) >> (b & 15) : 0)
OP("shr.s16", shr_s16, u16, u16, u32, none, HALF((t_u32)((int16_t)a >> (b < 15 ? b : 15))))
OP("selp.b16", selp_b16, u16, u16, u16, pred, c ? a : b)
OP("min.s16", min_s16, u16, u16, u16, none, (int16_t)a < (int16_t)b ? a : b)
OP("max.s16", max_s16, u16, u16, u16, none, (int16_t)a > (int16_t)b ? a : b)
OP("min.u16", min_u16, u16, u16, u16, none, a < b ? a : b)
OP("max.u16", max_u16, u16, u16, u16, none, a > b ? a : b)

/* ---- Predicates ---------------------------------------------------------------------------------------- */
OP("and.pred", and_pred, pred, pred, pred, none, a &b)
OP("or.pred", or_pred, pred, pred, pred, none, a | b)
OP("xor.pred", xor_pred, pred, pred, pred, none, a ^ b)
OP("not.pred", not_pred, pred, pred, none, none, ~a)
OP("mov.pred", mov_pred, pred, pred, none, none, a)
#define COMPARE(s)                                                                                           \
    OP("setp.eq." #s, setp_eq_##s, pred, s, s, none, -(a == b))                                              \
    OP("setp.ne." #s, setp_ne_##s, pred, s, s, none, -(a != b))                                              \
    OP("setp.lt." #s, setp_lt_##s, pred, s, s, none, -(a < b))                                               \
    OP("setp.le." #s, setp_le_##s, pred, s, s, none, -(a <= b))                                              \
    OP("setp.gt." #s, setp_gt_##s, pred, s, s, none, -(a > b))                                               \
    OP("setp.ge." #s, setp_ge_##s, pred, s, s, none, -(a >= b))
COMPARE(s32)
COMPARE(u32)
COMPARE(s64)
COMPARE(u64)
COMPARE(u16)
OP("setp.eq.b16", setp_eq_b16, pred, u16, u16, none, -(a == b))
OP("setp.ne.b16", setp_ne_b16, pred, u16, u16, none, -(a != b))
OP("setp.eq.s16", setp_eq_s16, pred, u16, u16, none, -(HALF(a) == HALF(b)))
OP("setp.ne.s16", setp_ne_s16, pred, u16, u16, none, -(HALF(a) != HALF(b)))
OP("setp.lt.s16", setp_lt_s16, pred, u16, u16, none, -((int16_t)a < (int16_t)b))
OP("setp.le.s16", setp_le_s16, pred, u16, u16, none, -((int16_t)a <= (int16_t)b))
OP("setp.gt.s16", setp_gt_s16, pred, u16, u16, none, -((int16_t)a > (int16_t)b))
OP("setp.ge.s16", setp_ge_s16, pred, u16, u16, none, -((int16_t)a >= (int16_t)b))
OP("setp.eq.b32", setp_eq_b32, pred, u32, u32, none, -(a == b))
OP("setp.ne.b32", setp_ne_b32, pred, u32, u32, none, -(a != b))
OP("setp.eq.b64", setp_eq_b64, pred, u64, u64, none, -(a == b))
OP("setp.ne.b64", setp_ne_b64, pred, u64, u64, none, -(a != b))
/* Ordered comparisons are false with a NaN; those with u are true. */
#define COMPARE_FLOAT(s, z, Z)                                                                               \
    OP("setp.eq" z "." #s, setp_eq_##Z##s, pred, s, s, none, -(Z(a) == Z(b)))                                \
    OP("setp.ne" z "." #s, setp_ne_##Z##s, pred, s, s, none, -((int)(Z(a) < Z(b)) | (Z(a) > Z(b))))          \
    OP("setp.lt" z "." #s, setp_lt_##Z##s, pred, s, s, none, -(Z(a) < Z(b)))                                 \
    OP("setp.le" z "." #s, setp_le_##Z##s, pred, s, s, none, -(Z(a) <= Z(b)))                                \
    OP("setp.gt" z "." #s, setp_gt_##Z##s, pred, s, s, none, -(Z(a) > Z(b)))                                 \
    OP("setp.ge" z "." #s, setp_ge_##Z##s, pred, s, s, none, -(Z(a) >= Z(b)))                                \
    OP("setp.equ" z "." #s, setp_equ_##Z##s, pred, s, s, none, -!((int)(Z(a) < Z(b)) | (Z(a) > Z(b))))       \
    OP("setp.neu" z "." #s, setp_neu_##Z##s, pred, s, s, none, -(Z(a) != Z(b)))                              \
    OP("setp.ltu" z "." #s, setp_ltu_##Z##s, pred, s, s, none, -!(Z(a) >= Z(b)))                             \
    OP("setp.leu" z "." #s, setp_leu_##Z##s, pred, s, s, none, -!(Z(a) > Z(b)))                              \
    OP("setp.gtu" z "." #s, setp_gtu_##Z##s, pred, s, s, none, -!(Z(a) <= Z(b)))                             \
    OP("setp.geu" z "." #s, setp_geu_##Z##s, pred, s, s, none, -!(Z(a) < Z(b)))                              \
    OP("setp.num" z "." #s, setp_num_##Z##s, pred, s, s, none, -((a == a) & (b == b)))                       \
    OP("setp.nan" z "." #s, setp_nan_##Z##s, pred, s, s, none, -((a != a) | (b != b)))
COMPARE_FLOAT(f32, "", KEEP)
COMPARE_FLOAT(f32, ".ftz", FLUSH)
COMPARE_FLOAT(f64, "", KEEP)

/* ---- Floating point. FLUSH makes subnormal numbers zero, as .ftz asks. --------------------------------- */
#define FLOATING(s, n, z, Z)                                                                                 \
    OP("add" z "." #s, add_##Z##s, s, s, s, none, Z(Z(a) + Z(b)))                                            \
    OP("sub" z "." #s, sub_##Z##s, s, s, s, none, Z(Z(a) - Z(b)))                                            \
    OP("mul" z "." #s, mul_##Z##s, s, s, s, none, Z(Z(a) * Z(b)))                                            \
    OP("div.rn" z "." #s, div_##Z##s, s, s, s, none, Z(Z(a) / Z(b)))                                         \
    OP("fma.rn" z "." #s, fma_##Z##s, s, s, s, s, Z(FMA_##n(Z(a), Z(b), Z(c))))                              \
    OP("neg" z "." #s, neg_##Z##s, s, s, none, none, Z(-a))                                                  \
    OP("abs" z "." #s, abs_##Z##s, s, s, none, none, Z(FABS_##n(a)))                                         \
    OP("min" z "." #s, min_##Z##s, s, s, s, none, LESSER(Z(a), Z(b), n))                                     \
    OP("max" z "." #s, max_##Z##s, s, s, s, none, GREATER(Z(a), Z(b), n))                                    \
    OP("sqrt.rn" z "." #s, sqrt_##Z##s, s, s, none, none, Z(SQRT_##n(Z(a))))                                 \
    OP("rcp.rn" z "." #s, rcp_##Z##s, s, s, none, none, Z(1 / Z(a)))
FLOATING(f32, 32, "", KEEP)
FLOATING(f32, 32, ".ftz", FLUSH)
FLOATING(f64, 64, "", KEEP)
OP("copysign.f32", copysign_f32, f32, f32, f32, none, COPYSIGN(b, a))
OP("copysign.f64", copysign_f64, f64, f64, f64, none, __builtin_copysign(b, a))
OP("add.rz.f32", add_rz_f32, f32, f32, f32, none, add_toward_zero(a, b))
OP("mul.rz.f32", mul_rz_f32, f32, f32, f32, none, toward_zero((double)a *b))
OP("fma.rm.f32", fma_rm_f32, f32, f32, f32, f32, fma_down(a, b, c))
OP("add.sat.f32", add_sat_f32, f32, f32, f32, none, saturate(a + b))
OP("fma.rn.sat.f32", fma_sat_f32, f32, f32, f32, f32, saturate(FMA_32(a, b, c)))
OP("mul.sat.f32", mul_sat_f32, f32, f32, f32, none, saturate(a *b))
/* The approximate functions, as a card that errs as far as PTX permits: see `approximate`. */
OP("rcp.approx.f32", rcp_approx, f32, f32, none, none, approximate(1 / (double)a, a, 1))
OP("rcp.approx.ftz.f32", rcp_approx_ftz, f32, f32, none, none, FLUSH(approximate(1 / (double)FLUSH(a), a, 1)))
OP("sqrt.approx.f32", sqrt_approx, f32, f32, none, none, approximate(SQRT_64((double)a), a, 1))
OP("sqrt.approx.ftz.f32", sqrt_approx_ftz, f32, f32, none, none,
   FLUSH(approximate(SQRT_64((double)FLUSH(a)), a, 1)))
OP("rsqrt.approx.f32", rsqrt_approx, f32, f32, none, none, approximate(1 / SQRT_64((double)a), a, 2))
OP("rsqrt.approx.ftz.f32", rsqrt_approx_ftz, f32, f32, none, none,
   FLUSH(approximate(1 / SQRT_64((double)FLUSH(a)), a, 2)))
OP("ex2.approx.f32", ex2_approx, f32, f32, none, none, approximate(exp2((double)a), a, 2))
OP("ex2.approx.ftz.f32", ex2_approx_ftz, f32, f32, none, none,
   FLUSH(approximate(exp2((double)FLUSH(a)), a, 2)))
OP("lg2.approx.f32", lg2_approx, f32, f32, none, none, approximate(log2((double)a), a, 1))
OP("lg2.approx.ftz.f32", lg2_approx_ftz, f32, f32, none, none, approximate(log2((double)FLUSH(a)), a, 1))
OP("sin.approx.f32", sin_approx, f32, f32, none, none, approximate(sin((double)a), a, 2))
OP("cos.approx.f32", cos_approx, f32, f32, none, none, approximate(cos((double)a), a, 2))
OP("tanh.approx.f32", tanh_approx, f32, f32, none, none, approximate(tanh((double)a), a, 64))
OP("div.full.f32", div_full, f32, f32, f32, none, approximate((double)a / (double)b, a, 2))
OP("div.approx.f32", div_approx, f32, f32, f32, none, approximate((double)a / (double)b, a, 2))

/* ---- Conversions --------------------------------------------------------------------------------------- */
OP("cvt.s64.s32", cvt_s64_s32, s64, s32, none, none, a)
OP("cvt.u64.u32", cvt_u64_u32, u64, u32, none, none, a)
OP("cvt.u32.u64", cvt_u32_u64, u32, u64, none, none, (t_u32)a)
OP("cvt.s64.s16", cvt_s64_s16, s64, u16, none, none, (int16_t)a)
OP("cvt.u64.u16", cvt_u64_u16, u64, u16, none, none, HALF(a))
OP("cvt.u32.u16", cvt_u32_u16, u32, u16, none, none, HALF(a))
OP("cvt.s32.s16", cvt_s32_s16, s32, u16, none, none, (int16_t)a)
OP("cvt.u16.u32", cvt_u16_u32, u16, u32, none, none, HALF(a))
OP("cvt.u16.u64", cvt_u16_u64, u16, u64, none, none, (t_u32)(a & 0xffff))
OP("cvt.u16.u8", cvt_u16_u8, u16, u32, none, none, a & 0xff)
OP("cvt.s16.s8", cvt_s16_s8, u16, u32, none, none, HALF((t_u32)(int8_t)a))
OP("cvt.u32.u8", cvt_u32_u8, u32, u32, none, none, a & 0xff)
OP("cvt.s32.s8", cvt_s32_s8, s32, u32, none, none, (int8_t)a)
OP("cvt.rn.f32.s32", cvt_f32_s32, f32, s32, none, none, (float)a)
OP("cvt.rn.f32.u32", cvt_f32_u32, f32, u32, none, none, (float)a)
OP("cvt.rn.f32.s64", cvt_f32_s64, f32, s64, none, none, (float)a)
OP("cvt.rn.f32.u64", cvt_f32_u64, f32, u64, none, none, (float)a)
OP("cvt.rn.f32.u16", cvt_f32_u16, f32, u16, none, none, (float)HALF(a))
OP("cvt.rn.f32.s16", cvt_f32_s16, f32, u16, none, none, (float)(int16_t)a)
OP("cvt.rn.f32.u8", cvt_f32_u8, f32, u32, none, none, (float)(a & 0xff))
OP("cvt.f64.f32", cvt_f64_f32, f64, f32, none, none, a)
OP("cvt.rn.f32.f64", cvt_f32_f64, f32, f64, none, none, (float)a)
OP("cvt.rn.f64.s32", cvt_f64_s32, f64, s32, none, none, a)
OP("cvt.rn.f64.u32", cvt_f64_u32, f64, u32, none, none, a)
OP("cvt.rn.f64.s64", cvt_f64_s64, f64, s64, none, none, (double)a)
OP("cvt.rn.f64.u64", cvt_f64_u64, f64, u64, none, none, (double)a)
OP("cvt.rzi.s32.f32", cvt_s32_f32, s32, f32, none, none, TO_S32(truncf(a)))
OP("cvt.rzi.u32.f32", cvt_u32_f32, u32, f32, none, none, TO_U32(truncf(a)))
OP("cvt.rni.s32.f32", cvt_rni_s32_f32, s32, f32, none, none, TO_S32(rintf(a)))
OP("cvt.rni.u32.f32", cvt_rni_u32_f32, u32, f32, none, none, TO_U32(rintf(a)))
OP("cvt.rmi.s32.f32", cvt_rmi_s32_f32, s32, f32, none, none, TO_S32(floorf(a)))
OP("cvt.rpi.s32.f32", cvt_rpi_s32_f32, s32, f32, none, none, TO_S32(ceilf(a)))
OP("cvt.rzi.s32.f64", cvt_s32_f64, s32, f64, none, none, TO_S32(trunc(a)))
OP("cvt.rzi.u32.f64", cvt_u32_f64, u32, f64, none, none, TO_U32(trunc(a)))
OP("cvt.rni.f32.f32", cvt_rni_f32, f32, f32, none, none, rintf(a))
OP("cvt.rmi.f32.f32", cvt_rmi_f32, f32, f32, none, none, floorf(a))
OP("cvt.rpi.f32.f32", cvt_rpi_f32, f32, f32, none, none, ceilf(a))
OP("cvt.rzi.f32.f32", cvt_rzi_f32, f32, f32, none, none, truncf(a))
OP("cvt.sat.f32.f32", cvt_sat_f32, f32, f32, none, none, saturate(a))
OP("cvt.rn.bf16.f32", cvt_bf16_f32, u16, f32, none, none, to_bf16(a))
OP("cvt.f32.bf16", cvt_f32_bf16, f32, u16, none, none, from_bf16(a))
OP("cvt.rn.bf16x2.f32", cvt_bf16x2_f32, u32, f32, f32, none, to_bf16(a) << 16 | to_bf16(b))
