// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, VerseId } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";
import { FeeToken, HookToken, LyingToken, NoReturnToken } from "./utils/Tokens.sol";

/// @notice Tokens that do not behave, callbacks, permits and multicalls.
contract TokensTest is Base {
    QuestionId private question;

    function setUp() public override {
        super.setUp();
        question = _ask(2);
    }

    /* deposits */

    function test_deposit_mustArriveExactly() public {
        FeeToken fee = new FeeToken();
        fee.mint(alice, 1000);
        vm.startPrank(alice);
        fee.approve(address(ledger), 1000);
        _expect(abi.encodeWithSelector(IMultiverse.DepositMismatch.selector, address(fee), 1000, 990));
        ledger.pushDown(_path(), question, address(fee), 1000, alice);
        vm.stopPrank();
    }

    function test_deposit_ofLyingTokensIsRefused() public {
        LyingToken lying = new LyingToken();
        lying.mint(address(ledger), 1000);
        int256[4] memory moves = [int256(0), 9, 11, -5];
        for (uint256 i = 0; i < moves.length; ++i) {
            lying.set(true, moves[i]);
            uint256 received = moves[i] < 0 ? 0 : uint256(moves[i]);
            _expect(abi.encodeWithSelector(IMultiverse.DepositMismatch.selector, address(lying), 10, received));
            ledger.pushDown(_path(), question, address(lying), 10, alice);
        }
        lying.set(false, 10);
        _expect(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(lying)));
        ledger.pushDown(_path(), question, address(lying), 10, alice);
    }

    function test_deposit_ofTokensThatReturnNothing() public {
        NoReturnToken usdt = new NoReturnToken();
        usdt.mint(alice, 100);
        vm.startPrank(alice);
        ledger.pushDown(_path(), question, address(usdt), 100, alice);
        ledger.pullUp(_path(), question, address(usdt), 100, bob);
        vm.stopPrank();
        vm.assertEq(usdt.balanceOf(bob), 100, "through and back");
    }

    function test_donations_areNeverCreditable() public {
        vm.prank(alice);
        token.transfer(address(ledger), 500);
        _pushDown(alice, _path(), question, 100);
        _assertBalance(alice, _path(question, 0), 100, "what was pushed");
        _expect(_insufficient(alice, _path(question, 0), 100, 101));
        _pullUp(alice, _path(), question, 101);
        _pullUp(alice, _path(), question, 100);
        vm.assertEq(token.balanceOf(address(ledger)), 500, "stays");
    }

    /* callbacks */

    function test_callbacks_cannotReenter() public {
        bytes memory guard = abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        HookToken hook = _hookToken();
        Answer[] memory root = _path();
        bytes[] memory inner = new bytes[](1);
        inner[0] = abi.encodeCall(ledger.expire, (question));
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](1);
        levels[0] = IMultiverse.Level(root, question, 1);
        bytes[7] memory calls = [
            abi.encodeCall(ledger.pushDown, (root, question, address(hook), 1, alice)),
            abi.encodeCall(ledger.pullUp, (root, question, address(hook), 1, alice)),
            abi.encodeCall(ledger.exit, (levels, address(hook), alice)),
            abi.encodeCall(ledger.pullUpFor, (alice, root, question, address(hook), 1)),
            abi.encodeCall(ledger.narrow, (question, 1)),
            abi.encodeCall(ledger.expire, (question)),
            abi.encodeCall(ledger.multicall, (inner))
        ];
        vm.startPrank(alice);
        for (uint256 i = 0; i < calls.length; ++i) {
            for (uint256 before = 0; before < 2; ++before) {
                hook.arm(address(ledger), calls[i], before == 1);
                ledger.pushDown(root, question, address(hook), 10, alice);
                vm.assertTrue(hook.failed(), "push-down: refused");
                vm.assertEq(keccak256(hook.result()), keccak256(guard), "push-down: by the guard");

                hook.arm(address(ledger), calls[i], before == 1);
                ledger.pullUp(root, question, address(hook), 10, alice);
                vm.assertTrue(hook.failed(), "pull-up: refused");
                vm.assertEq(keccak256(hook.result()), keccak256(guard), "pull-up: by the guard");
            }
        }
        vm.stopPrank();
    }

    function test_callbacks_seeSupplyCoveredByCollateral() public {
        HookToken hook = _hookToken();
        Observer observer = new Observer(IMultiverse(ledger), hook, alice, ledger.verseId(_path(question, 0)));
        vm.startPrank(alice);
        for (uint256 before = 0; before < 2; ++before) {
            hook.arm(address(observer), abi.encodeCall(observer.look, ()), before == 1);
            ledger.pushDown(_path(), question, address(hook), 100, alice);
            vm.assertEq(observer.supply(), 0, "not given yet");
            vm.assertEq(observer.collateral(), before == 1 ? 0 : 100, "taken first");

            hook.arm(address(observer), abi.encodeCall(observer.look, ()), before == 1);
            ledger.pullUp(_path(), question, address(hook), 100, alice);
            vm.assertEq(observer.supply(), 0, "burned first");
            vm.assertEq(observer.collateral(), before == 1 ? 100 : 0, "paid last");
        }
        vm.stopPrank();
    }

    /* selfPermit, multicall */

    function test_selfPermit_thenPushDownInOneMulticall() public {
        (address owner, bytes memory permit) = _permit(100, block.timestamp);
        bytes[] memory calls = new bytes[](2);
        calls[0] = permit;
        calls[1] = abi.encodeCall(ledger.pushDown, (_path(), question, address(token), 100, owner));
        vm.prank(owner);
        ledger.multicall(calls);
        _assertBalance(owner, _path(question, 1), 100, "pushed");
        vm.assertEq(token.allowance(owner, address(ledger)), 0, "spent");
    }

    function test_selfPermit_toleratesAFrontRun() public {
        (address owner, bytes memory permit) = _permit(100, block.timestamp);
        vm.prank(owner);
        (bool first, ) = address(ledger).call(permit);
        vm.prank(owner);
        (bool second, ) = address(ledger).call(permit);
        vm.assertTrue(first && second, "used before, yet fine");
        vm.assertEq(token.allowance(owner, address(ledger)), 100, "allowance");
    }

    function test_selfPermit_takesNoAllowanceFromATokenThatDoesNotSay() public {
        OddAllowanceToken odd = new OddAllowanceToken();
        bytes memory word = abi.encode(type(uint256).max);
        bytes memory failed = abi.encodeWithSelector(IMultiverse.PermitFailed.selector, odd, "");
        odd.set(false, word);
        _expect(failed);
        ledger.selfPermit(address(odd), 1, block.timestamp, 27, 0, 0);
        assembly ("memory-safe") {
            mstore(word, 31)
        }
        odd.set(true, word);
        _expect(failed);
        ledger.selfPermit(address(odd), 1, block.timestamp, 27, 0, 0);
        odd.set(true, abi.encode(uint256(1)));
        ledger.selfPermit(address(odd), 1, block.timestamp, 27, 0, 0);
    }

    function test_selfPermit_revertsWhenTheAllowanceIsNotThere() public {
        (address owner, bytes memory permit) = _permit(100, block.timestamp - 1);
        bytes memory reason = abi.encodeWithSignature("ERC2612ExpiredSignature(uint256)", block.timestamp - 1);
        _expect(abi.encodeWithSelector(IMultiverse.PermitFailed.selector, address(token), reason));
        vm.prank(owner);
        (bool ok, ) = address(ledger).call(permit);
        ok;
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, bob));
        ledger.selfPermit(bob, 1, block.timestamp, 27, 0, 0);
    }

    function test_multicall_exitsSeveralLevels() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 1), high, 100);
        _narrow(low, 2);
        _narrow(high, 1);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(ledger.pullUp, (_path(high, 0), low, address(token), 100, alice));
        calls[1] = abi.encodeCall(ledger.pullUp, (_path(), high, address(token), 100, alice));
        vm.prank(alice);
        ledger.multicall(calls);
        vm.assertEq(token.balanceOf(alice), FUNDS, "out");
    }

    function test_multicall_isAllOrNothing() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(ledger.pushDown, (_path(), question, address(token), 100, alice));
        calls[1] = abi.encodeCall(ledger.pullUp, (_path(), question, address(token), 101, alice));
        _expect(_insufficient(alice, _path(question, 0), 100, 101));
        vm.prank(alice);
        ledger.multicall(calls);
        _assertBalance(alice, _path(question, 0), 0, "undone");
    }

    function _hookToken() private returns (HookToken hook) {
        hook = new HookToken();
        hook.mint(alice, 1000);
        vm.prank(alice);
        hook.approve(address(ledger), type(uint256).max);
    }

    function _permit(uint256 amount, uint256 deadline) private returns (address owner, bytes memory call) {
        uint256 key = uint256(keccak256("signer"));
        owner = vm.addr(key);
        token.mint(owner, amount);
        bytes32 permitHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                owner,
                address(ledger),
                amount,
                token.nonces(owner),
                deadline
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), permitHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        call = abi.encodeCall(ledger.selfPermit, (address(token), amount, deadline, v, r, s));
    }
}

/// @notice Looks at the books from inside a token's callback.
contract Observer {
    IMultiverse private immutable ledger;
    IERC20 private immutable token;
    address private immutable owner;
    VerseId private immutable verse;
    uint256 public supply;
    uint256 public collateral;

    constructor(IMultiverse ledger_, IERC20 token_, address owner_, VerseId verse_) {
        (ledger, token, owner, verse) = (ledger_, token_, owner_, verse_);
    }

    function look() external {
        supply = ledger.multiverseMap(verse, address(token), owner);
        collateral = token.balanceOf(address(ledger));
    }
}

/// @notice Knows no permit, and answers with what it is told when asked for an allowance.
contract OddAllowanceToken {
    bool private _ok;
    bytes private _answer;

    function set(bool ok, bytes calldata answer) external {
        (_ok, _answer) = (ok, answer);
    }

    function allowance(address, address) external view {
        bool ok = _ok;
        bytes memory answer = _answer;
        assembly ("memory-safe") {
            if ok {
                return(add(answer, 32), mload(answer))
            }
            revert(add(answer, 32), mload(answer))
        }
    }
}
