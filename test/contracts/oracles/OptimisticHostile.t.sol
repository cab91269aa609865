// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IOptimisticOracle } from "../../../contracts/interfaces/IOptimisticOracle.sol";
import { IOracle } from "../../../contracts/interfaces/IOracle.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { FeeToken, HookToken, LyingToken, NoReturnToken } from "../utils/Tokens.sol";
import { Arbitrator, BlockingToken, OptimisticBase } from "./utils/OptimisticBase.sol";

/// @notice Tokens and arbitrators that mean harm, and where it ends.
contract OptimisticHostileTest is OptimisticBase {
    function _useToken(address bondToken) private {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.bondToken = bondToken;
        _use(changed);
    }

    function _mismatch(address bondToken, uint256 received) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOptimisticOracle.BondMismatch.selector, bondToken, uint256(MIN), received);
    }

    /* bonds that do not arrive */

    function test_token_thatTakesAFeeIsRefused() public {
        FeeToken fee = new FeeToken();
        fee.mint(alice, FUNDS);
        vm.prank(alice);
        fee.approve(address(game), FUNDS);
        _useToken(address(fee));
        _expect(_mismatch(address(fee), MIN - MIN / 100));
        _propose(alice, 0);
    }

    function test_token_thatOnlySaysItMovedIsRefused() public {
        LyingToken liar = new LyingToken();
        liar.mint(address(game), 5);
        _useToken(address(liar));
        _expect(_mismatch(address(liar), 0));
        _propose(alice, 0);
        liar.set(true, -5);
        _expect(_mismatch(address(liar), 0));
        _propose(alice, 0);
        liar.set(true, int256(uint256(MIN)) + 1);
        _expect(_mismatch(address(liar), MIN + 1));
        _propose(alice, 0);
    }

    function test_token_thatReturnsFalseIsRefused() public {
        LyingToken liar = new LyingToken();
        liar.set(false, 0);
        _useToken(address(liar));
        _expect(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        _propose(alice, 0);
    }

    function test_token_thatReturnsNothingIsFine() public {
        NoReturnToken silent = new NoReturnToken();
        silent.mint(alice, MIN);
        _useToken(address(silent));
        _propose(alice, 0);
        _wait(LIVENESS);
        vm.assertEq(_claim(alice), MIN, "back");
        vm.assertEq(silent.balanceOf(alice), MIN, "arrived");
    }

    /* bonds that do not leave */

    function test_token_thatRefusesAWinnerHarmsNobodyElse() public {
        BlockingToken blocking = _useBlocking();
        _propose(alice, 1);
        _dispute(bob, 0);
        _dispute(carol, 1);
        blocking.set(carol, true);
        _wait(LIVENESS);

        vm.assertEq(_settle(), 2, "settles");
        vm.assertEq(_claim(alice), (uint256(7) * MIN) / 5, "alice is paid");
        _expect(abi.encodeWithSignature("Error(string)", "blocked"));
        _claim(carol);
        vm.prank(carol);
        vm.assertEq(game.claim(question, address(0xca401)), (uint256(28) * MIN) / 5, "carol, elsewhere");
    }

    function test_token_thatDiesStopsNoVerdict() public {
        BlockingToken blocking = _useBlocking();
        _propose(alice, 1);
        _dispute(bob, 0);
        blocking.die();
        _disputeFails(abi.encodeWithSignature("Error(string)", "blocked"), alice, 1);

        // Bonds can no longer tell who is right: the arbitrator can.
        _request(alice);
        arbitrator.rule(game, 1);
        vm.assertEq(_settle(), 2, "settles");
    }

    function test_token_thatDiesStopsNoVerdictWithoutAnArbitratorEither() public {
        BlockingToken blocking = _useBlocking();
        _propose(alice, 1);
        blocking.die();
        _wait(LIVENESS);
        vm.assertEq(_settle(), 2, "settles");
    }

    function _useBlocking() private returns (BlockingToken blocking) {
        blocking = new BlockingToken();
        address[3] memory players = [alice, bob, carol];
        for (uint256 i = 0; i < 3; ++i) {
            blocking.mint(players[i], FUNDS);
            vm.prank(players[i]);
            blocking.approve(address(game), FUNDS);
        }
        _useToken(address(blocking));
    }

    /* callbacks */

    function _useHook() private returns (HookToken hook) {
        hook = new HookToken();
        hook.mint(alice, FUNDS);
        vm.prank(alice);
        hook.approve(address(game), FUNDS);
        _useToken(address(hook));
    }

    /// @notice Calls back into every entry point, while a bond comes in and while bonds go out.
    function test_token_cannotReenter() public {
        HookToken hook = _useHook();
        bytes[5] memory calls = [
            abi.encodeCall(IOptimisticOracle.propose, (key, terms, 1, EVIDENCE, MIN)),
            abi.encodeCall(IOptimisticOracle.dispute, (question, 1, EVIDENCE, 2 * MIN)),
            abi.encodeCall(IOptimisticOracle.requestArbitration, (question)),
            abi.encodeCall(IOptimisticOracle.rule, (question, 1)),
            abi.encodeCall(IOptimisticOracle.claim, (question, alice))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            key.specHash = bytes32(i);
            question = _askOf(game, key, terms);
            hook.arm(address(game), calls[i], false);
            _propose(alice, 0);
            _assertReentryRefused(hook);
            hook.arm(address(game), calls[i], true);
            _dispute(alice, 1);
            _assertReentryRefused(hook);
            _wait(LIVENESS);
            hook.arm(address(game), calls[i], false);
            vm.assertEq(_claim(alice), 3 * MIN, "paid once");
            _assertReentryRefused(hook);
        }
        vm.assertEq(hook.balanceOf(alice), FUNDS, "nothing more, nothing less");
    }

    function _assertReentryRefused(HookToken hook) private view {
        vm.assertTrue(hook.failed(), "refused");
        vm.assertEq(
            keccak256(hook.result()),
            keccak256(abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)),
            "by the guard"
        );
    }

    /// @notice Settling in the middle of a dispute sees the new answer, which has not stood at all.
    function test_token_cannotSettleFromWithinADispute() public {
        HookToken hook = _useHook();
        _propose(alice, 0);
        _wait(LIVENESS - 1);
        for (uint256 i = 0; i < 2; ++i) {
            hook.arm(address(game), abi.encodeCall(IOracle.settle, (key, terms, "")), i == 0);
            _dispute(alice, i == 0 ? 1 : 0);
            vm.assertTrue(hook.failed(), "refused");
            vm.assertEq(keccak256(hook.result()), keccak256(_notFinal(question)), "not final");
        }
    }

    /// @notice What was claimed is no longer claimable while it is being paid.
    function test_token_seesAClaimAlreadyTaken() public {
        HookToken hook = _useHook();
        _propose(alice, 0);
        _wait(LIVENESS);
        hook.arm(address(game), abi.encodeCall(IOptimisticOracle.claimable, (question, alice)), true);
        _claim(alice);
        vm.assertEq(keccak256(hook.result()), keccak256(abi.encode(uint256(0))), "nothing more");
    }

    /* without end */

    /// @notice Even a token made of nothing ends the doubling with a named error.
    function test_token_withoutLimitEndsTheDoublingByName() public {
        HookToken endless = _useHook();
        endless.mint(alice, type(uint256).max - FUNDS);
        vm.prank(alice);
        endless.approve(address(game), type(uint256).max);
        _proposeFor(alice, 0, 1 << 126);
        // To 2^254, which adds up to 2^255 - 2^126; one more would still fit into a word, the next one would not.
        for (uint8 i = 1; i <= 128; ++i) _dispute(alice, i % 2);
        vm.assertEq(game.games(question).bond, 1 << 254, "the last bond");
        _disputeFails(
            abi.encodeWithSelector(
                IOptimisticOracle.BondOutOfRange.selector,
                uint256(1) << 255,
                uint256(1) << 255,
                uint256(1) << 254
            ),
            alice,
            1
        );
        _wait(LIVENESS);
        vm.assertEq(_claim(alice), (uint256(1) << 255) - (uint256(1) << 126), "all of it");
    }

    /* arbitrators */

    function test_arbitrator_cannotRuleWithinTheRequest() public {
        _propose(alice, 0);
        arbitrator.set(Arbitrator.Mood.Hasty);
        _expect(
            abi.encodeWithSelector(
                IOptimisticOracle.ArbitratorRefused.selector,
                address(arbitrator),
                abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
            )
        );
        _request(bob);
    }

    /// @notice A false answer with the silent arbitrator called at once: whoever knows better is not kept from disputing.
    function test_arbitrator_silentCannotFreezeAFalseAnswer() public {
        _propose(alice, 1);
        _dispute(bob, VOID);
        _request(bob);
        _dispute(alice, 1);
        _wait(LIVENESS);
        _assertRunning("its window is not over");
        _disputeFails(_answersEnded(START + LIVENESS), bob, VOID);
        _at(START + WINDOW);
        _assertVerdict(1, "the answer that stood");
    }

    /// @notice A call in the last second of answers leaves room for the whole window and for `settle`.
    function test_arbitrator_silentUntilTheEndLeavesTimeToSettle() public {
        _at(LATEST);
        _propose(alice, 1);
        for (uint256 i = 0; time < CLOSES - LIVENESS; ++i) {
            _wait(LIVENESS - 1);
            _dispute(i % 2 == 0 ? bob : alice, i % 2 == 0 ? VOID : 1);
        }
        _at(CLOSES - 1);
        _request(bob);
        _at(CLOSES + WINDOW - 2);
        _assertRunning("its window is not over");
        _wait(1);
        vm.assertTrue(game.status(question) == IOracle.Status.Final, "final");
        vm.assertTrue(time < ENDS - LIVENESS, "one liveness before the deadline");
        _settle();
    }

    /// @notice No arbitrator without code, fee or answer keeps a game from ending.
    function test_fuzz_arbitrator_nothingItDoesOutlastsTheDeadline(uint256 mood, uint256 when, uint256 answer) public {
        arbitrator.set(Arbitrator.Mood(_bound(mood, 0, 3)));
        _at(_bound(when, START, LATEST));
        _propose(alice, uint8(_bound(answer, 0, 3)));
        _wait(_bound(answer, 0, LIVENESS - 1));
        vm.prank(bob);
        (bool ok, ) = address(game).call(abi.encodeCall(IOptimisticOracle.requestArbitration, (question)));
        vm.assertTrue(ok == (arbitrator.mood() == Arbitrator.Mood.Willing), "called");
        _at(ENDS - LIVENESS);
        _settle();
        _assertLive(question, 1 << _bound(answer, 0, 3), "the answer");
    }
}
